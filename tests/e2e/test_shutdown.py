"""SIGTERM while there is work."""

import uuid
from pathlib import Path

import aio_pika

from recording_schemas import CommandSucceeded
from sandbox.demo.scenario import deduplicated
from sandbox.model.faults import Fault
from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.waiting import Eventually
from tests.e2e import accounts
from tests.e2e.processes import Scene, scene

COMMANDS = 60
FIRST = 10
"""So many have ended when the worker is told to."""

GRACE_SECONDS = 10


async def test_after_sigterm_what_was_settled_is_out_and_the_rest_waits(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with scene(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        speed=0.01,  # nothing changes by itself: every event is a command's
        WORKER_PREFETCH="8",
        WORKER_SHUTDOWN_SECONDS=str(GRACE_SECONDS),
        WORKER_API_TIMEOUT_SECONDS=str(GRACE_SECONDS),
    ) as stage:
        commands = await send_many(stage)
        await eventually(lambda: len(succeeded(stage)) >= FIRST)
        assert await stage.worker.stop(seconds=GRACE_SECONDS + 2) == 0

        await eventually(lambda: len(succeeded(stage)) == len(stage.sandbox.request_log.started))
        done = succeeded(stage)
        waiting = await take_all(rabbitmq.amqp_url, f"{names_prefix}.commands")
        assert FIRST <= len(done) < COMMANDS
        assert done | waiting == commands
        assert not done & waiting, "what was settled does not come again"
        assert len(deduplicated(stage.messages.events)) == len(stage.messages.events)
        for started in stage.sandbox.request_log.started:
            assert accounts.statuses_told(stage.messages.events, started.recording_id) == [
                "INVOKED"
            ]


async def test_a_second_worker_finishes_what_the_first_left(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with scene(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        speed=0.01,
        WORKER_PREFETCH="8",
        WORKER_API_TIMEOUT_SECONDS=str(GRACE_SECONDS),
    ) as stage:
        commands = await send_many(stage)
        await eventually(lambda: len(succeeded(stage)) >= FIRST)
        assert await stage.worker.stop() == 0
        stage.sandbox.faults.clear()
        await stage.worker.start()
        await eventually(lambda: succeeded(stage) == commands, seconds=30)
        accounts.assert_one_success_each(stage.messages.events, commands)
        accounts.assert_repeats_are_identical(stage.messages.events)
        meetings = [started.meeting_id for started in stage.sandbox.request_log.started]
        assert len(meetings) == len(set(meetings)) == COMMANDS


async def send_many(stage: Scene) -> set[str]:
    """Starts for a meeting each, at an API that takes its time after the first few; their ids.

    It takes so long that however slowly they are sent, some are left when the first have ended.
    """
    slow = Fault(kind="slow", operation="start_track_recording", skip=FIRST, seconds=3)
    stage.sandbox.faults.add(slow)
    ids = {f"start-{number}" for number in range(COMMANDS)}
    for command_id in ids:
        await stage.start(command_id, meeting_id=str(uuid.uuid4()))
    return ids


def succeeded(stage: Scene) -> set[str]:
    """The ids of the commands whose success was told, perhaps more than once."""
    return {one.subject for one in stage.messages.events if isinstance(one.data, CommandSucceeded)}


async def take_all(amqp_url: str, queue_name: str) -> set[str]:
    """The id of every command that waits in the queue."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        found: set[str] = set()
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            found.add(accounts.command_id(message.body))
        return found
