"""SIGTERM while there is work."""

import signal
import uuid
from pathlib import Path

import aio_pika
import aiohttp

from recording_sandbox.demo.scenario import deduplicated
from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded
from tests.e2e import event_assertions
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

COMMANDS = 60
FIRST = 10
"""The number of ended commands when the worker gets SIGTERM."""

GRACE_SECONDS = 10


async def test_after_sigterm_settled_commands_are_published_and_the_others_stay_queued(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        speed=0.01,  # nothing changes on its own: commands cause all events
        WORKER_PREFETCH="8",
        WORKER_SHUTDOWN_SECONDS=str(GRACE_SECONDS),
        WORKER_API_TIMEOUT_SECONDS=str(GRACE_SECONDS),
    ) as environment:
        commands = await send_many(environment)
        await eventually(lambda: len(succeeded(environment)) >= FIRST)
        assert await environment.worker.stop(seconds=GRACE_SECONDS + 2) == 0

        await eventually(
            lambda: len(succeeded(environment)) == len(environment.sandbox.request_log.started)
        )
        done = succeeded(environment)
        waiting = await take_all(rabbitmq.amqp_url, f"{names_prefix}.commands")
        assert FIRST <= len(done) < COMMANDS
        assert done | waiting == commands
        assert not done & waiting, "what was settled does not come again"
        assert len(deduplicated(environment.messages.events)) == len(environment.messages.events)
        for started in environment.sandbox.request_log.started:
            assert event_assertions.published_statuses(
                environment.messages.events, started.recording_id
            ) == ["INVOKED"]


async def test_a_second_worker_finishes_the_commands_that_the_first_left(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        speed=0.01,
        WORKER_PREFETCH="8",
        WORKER_API_TIMEOUT_SECONDS=str(GRACE_SECONDS),
    ) as environment:
        commands = await send_many(environment)
        await eventually(lambda: len(succeeded(environment)) >= FIRST)
        assert await environment.worker.stop() == 0
        environment.sandbox.faults.clear()
        await environment.worker.start()
        await eventually(lambda: succeeded(environment) == commands, seconds=30)
        event_assertions.assert_one_success_each(environment.messages.events, commands)
        event_assertions.assert_repeats_are_identical(environment.messages.events)
        meetings = [started.meeting_id for started in environment.sandbox.request_log.started]
        assert len(meetings) == len(set(meetings)) == COMMANDS


async def test_a_stopping_worker_is_not_ready_but_answers_webhooks_for_its_delay(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with (
        open_worker_environment(
            rabbitmq.amqp_url, names_prefix, tmp_path, WORKER_SHUTDOWN_DELAY_SECONDS="600"
        ) as environment,
        aiohttp.ClientSession() as client,
    ):
        worker = environment.worker
        worker.signal(signal.SIGTERM)

        async def is_stopping() -> bool:
            status, readiness = await worker.probe("/readyz")
            return status == 503 and "stopping" in readiness["checks"]

        await eventually(is_stopping)
        unsigned = await client.post(f"{worker.url}/webhooks/realtimekit", data=b"{}")
        assert (unsigned.status, unsigned.headers["Connection"]) == (401, "close")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() != 0


async def send_many(environment: WorkerEnvironment) -> set[str]:
    """Send starts for different meetings; returns their ids.

    The API answers slowly after the first few. So some starts are left when the first have ended,
    even if they are sent slowly.
    """
    slow = Fault(kind="slow", operation="start_track_recording", skip=FIRST, seconds=3)
    environment.sandbox.faults.add(slow)
    ids = {f"start-{number}" for number in range(COMMANDS)}
    for command_id_in in ids:
        await environment.start(command_id_in, meeting_id=str(uuid.uuid4()))
    return ids


def succeeded(environment: WorkerEnvironment) -> set[str]:
    """The ids of the commands whose success was published."""
    return {
        event.subject
        for event in environment.messages.events
        if isinstance(event.data, CommandSucceeded)
    }


async def take_all(amqp_url: str, queue_name: str) -> set[str]:
    """The id of every command that waits in the queue."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        found: set[str] = set()
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            found.add(event_assertions.command_id_in(message.body))
        return found
