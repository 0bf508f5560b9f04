"""Commands that the broker dead-letters get an outcome and stay in the dead-letter queue."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import (
    CloudEvent,
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    Outcome,
)
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.forked_worker import ForkedWorkerProcess

START = "start_track_recording"

HANG_SECONDS = 3600.0
"""Longer than any test."""


class Bench:
    """A worker, and a channel of a publisher that sets any property."""

    def __init__(
        self,
        environment: WorkerEnvironment,
        rabbitmq: RabbitMQNode,
        channel: AbstractChannel,
        prefix: str,
    ) -> None:
        self.environment = environment
        self.channel = channel
        self.prefix = prefix
        self._rabbitmq = rabbitmq

    def command(self, command_id: str, **fields: Any) -> dict[str, Any]:
        return {"type": START, "id": command_id, "meeting_id": str(uuid.uuid4()), **fields}

    async def send(self, body: dict[str, Any] | bytes, **properties: Any) -> None:
        """Publish a command. `expiration` is in seconds."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        properties = {"content_type": "application/json", **properties}
        exchange = await self.channel.get_exchange(f"{self.prefix}.commands", ensure=False)
        await exchange.publish(aio_pika.Message(raw, **properties), "any.key", mandatory=True)

    async def count(self, queue: str) -> int:
        declared = await self.channel.declare_queue(f"{self.prefix}.{queue}", passive=True)
        return declared.declaration_result.message_count or 0

    async def waits(self, queue: str, count: int) -> None:
        async def is_reached() -> bool:
            return await self.count(queue) == count

        await eventually(is_reached, seconds=30, description=f"{count} messages in {queue}")

    async def take(self, queue: str, *, reject: bool = False) -> AbstractIncomingMessage:
        taken = await (await self.channel.get_queue(f"{self.prefix}.{queue}")).get()
        assert taken is not None
        await (taken.reject(requeue=False) if reject else taken.ack())
        return taken

    async def stop_worker(self) -> None:
        assert await self.environment.worker.stop() == 0

    async def start_worker(self) -> None:
        await self.environment.worker.start()
        await self.environment.worker.ready()

    async def data(self, command_id: str) -> Outcome:
        data = (await self.environment.outcome(command_id)).data
        assert isinstance(data, Outcome)
        return data

    def outcomes(self, command_id: str) -> list[CloudEvent]:
        events = self.environment.messages.events
        return [
            event
            for event in events
            if isinstance(event.data, Outcome) and event.subject == command_id
        ]

    @asynccontextmanager
    async def policy(self, queue: str, **definition: Any) -> AsyncIterator[None]:
        name, pattern = f"{self.prefix}-{queue}", f"^{self.prefix}\\.{queue}$"
        arguments = (name, pattern, json.dumps(definition), "--apply-to", "queues")
        await asyncio.to_thread(self._rabbitmq.ctl, "set_policy", *arguments)
        try:
            yield
        finally:
            await asyncio.to_thread(self._rabbitmq.ctl, "clear_policy", name)


@pytest_asyncio.fixture
async def bench(rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        open_worker_environment(
            rabbitmq.amqp_url,
            names_prefix,
            tmp_path,
            speed=1.0,
            WORKER_PREFETCH="1",
            WORKER_API_TIMEOUT_SECONDS="60",
            WORKER_LEASE_SECONDS="90",
        ) as environment,
        await aio_pika.connect(rabbitmq.amqp_url) as connection,
    ):
        channel = await connection.channel()
        yield Bench(environment, rabbitmq, channel, names_prefix)


async def test_commands_that_expire_while_no_worker_runs_have_their_outcome_when_one_starts(
    bench: Bench,
) -> None:
    replies = await bench.channel.declare_queue(exclusive=True)
    await bench.stop_worker()
    await bench.send(bench.command("start"), expiration=0.2, reply_to=replies.name)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "other"}
    await bench.send(stop, expiration=0.2, correlation_id="order-7")
    await bench.send(b"{}", expiration=0.2, message_id="no-command")
    await bench.send(b"nothing", expiration=0.2)
    await bench.waits("commands.dead", 4)
    await bench.start_worker()
    assert await bench.data("start") == CommandExpired(
        command_id="start", command_type=START, attempts=0, metadata=None
    )
    assert isinstance(await bench.data("stop"), CommandExpired)
    assert isinstance(await bench.data("no-command"), CommandRejected)
    assert await eventually(lambda: replies.get(fail=False), seconds=10)
    assert bench.environment.requests(START) == []
    await bench.waits("commands.unanswered", 0)
    assert await bench.count("commands.dead") == 4
    letter = await bench.take("commands.dead")
    assert letter.headers["x-death"][0]["reason"] == "expired"  # type: ignore[index,call-overload]


async def test_a_command_that_expired_is_not_executed_when_it_is_repeated(bench: Bench) -> None:
    command = bench.command("start")
    await bench.stop_worker()
    await bench.send(command, expiration=0)
    await bench.waits("commands.dead", 1)
    await bench.start_worker()
    await bench.data("start")
    await bench.send(command)
    await eventually(lambda: len(bench.outcomes("start")) == 2, seconds=10)
    assert len({event.id for event in bench.outcomes("start")}) == 1
    assert bench.environment.requests(START) == []


async def test_a_command_that_expires_behind_a_busy_worker_is_answered_meanwhile(
    bench: Bench,
) -> None:
    late = Fault(kind="late", operation=START, seconds=0.9, count=1)
    bench.environment.sandbox.faults.add(late)
    await bench.send(bench.command("slow"))
    await bench.waits("commands", 0)
    await bench.send(bench.command("start"), expiration=0.1)
    assert isinstance(await bench.data("start"), CommandExpired)
    assert isinstance(await bench.data("slow"), CommandSucceeded)
    assert len(bench.environment.requests(START)) == 1


async def test_the_expiration_of_a_command_counts_only_until_a_worker_takes_it(
    bench: Bench,
) -> None:
    """The command's copy in a retry queue neither returns early nor expires."""
    refused = Fault(kind="refuse", operation=START, status=403, envelope="realtimekit", count=2)
    bench.environment.sandbox.faults.add(refused)
    await bench.send(bench.command("start"), expiration=0.5)
    assert isinstance(await bench.data("start"), CommandSucceeded)
    assert len(bench.environment.requests(START)) == 3
    assert await bench.count("commands.dead") == 0


async def test_commands_that_a_policy_expires_have_their_outcome(bench: Bench) -> None:
    await bench.stop_worker()
    async with bench.policy("commands", **{"message-ttl": 100}):
        for number in range(30):
            await bench.send(bench.command(f"start-{number}"))
        await bench.waits("commands.dead", 30)
    await bench.start_worker()
    for number in range(30):
        assert isinstance(await bench.data(f"start-{number}"), CommandExpired)
    await bench.send(bench.command("next"))
    assert isinstance(await bench.data("next"), CommandSucceeded)


@pytest.mark.parametrize("is_executed", [True, False])
async def test_a_start_that_may_have_been_executed_is_looked_for_after_it_expired(
    bench: Bench, is_executed: bool
) -> None:
    """The process dies during the API request, and the command expires in the queue."""
    sandbox = bench.environment.sandbox
    sandbox.faults.add(
        Fault(kind="slow" if is_executed else "late", operation=START, seconds=HANG_SECONDS)
    )
    (calls,) = sandbox.faults.active()
    async with bench.policy("commands", **{"message-ttl": 1000}):
        await bench.send(bench.command("start"))
        await eventually(lambda: calls.triggered, seconds=20)
        await bench.environment.worker.kill()
        await bench.waits("commands.dead", 1)
        await bench.start_worker()
        outcome = await bench.data("start")
    if is_executed:
        assert isinstance(outcome, CommandSucceeded)
        started = [recording.id for recording in sandbox.recordings.index.all()]
        assert list(outcome.recording_ids) == started
    else:
        assert isinstance(outcome, CommandExpired)
    assert calls.triggered == 1


async def test_a_command_that_another_consumer_rejected_has_failed(bench: Bench) -> None:
    await bench.stop_worker()
    await bench.send(bench.command("start"))
    await bench.take("commands", reject=True)
    await bench.waits("commands.dead", 1)
    await bench.start_worker()
    outcome = await bench.data("start")
    assert isinstance(outcome, CommandFailed)
    assert (outcome.attempts, outcome.last_error.code) == (0, "dead_lettered")
    assert "rejected" in outcome.last_error.message


async def test_a_full_dead_letter_queue_keeps_no_outcome_back(bench: Bench) -> None:
    await bench.stop_worker()
    async with bench.policy("commands.dead", **{"max-length": 1}):
        for number in range(5):
            await bench.send(bench.command(f"start-{number}"), expiration=0)
        await bench.start_worker()
        for number in range(5):
            assert isinstance(await bench.data(f"start-{number}"), CommandExpired)
    await bench.waits("commands.unanswered", 0)
    for number in range(5):
        assert len({event.id for event in bench.outcomes(f"start-{number}")}) == 1


async def test_a_letter_that_a_worker_dead_letters_is_answered_once(bench: Bench) -> None:
    await bench.send({"type": "nonsense", "id": "bad"})
    assert isinstance(await bench.data("bad"), CommandRejected)
    await bench.waits("commands.dead", 1)
    await bench.waits("commands.unanswered", 0)
    await bench.send(bench.command("next"))
    await bench.data("next")
    assert len(bench.outcomes("bad")) == 1


async def test_a_good_command_does_not_wait_for_many_that_expired(bench: Bench) -> None:
    await bench.stop_worker()
    for number in range(500):
        await bench.send(bench.command(f"start-{number}"), expiration=0)
    await bench.waits("commands.dead", 500)
    await bench.start_worker()
    await bench.send(bench.command("good"))
    assert isinstance((await bench.environment.outcome("good", within=10)).data, CommandSucceeded)
    for number in range(500):
        assert isinstance(await bench.data(f"start-{number}"), CommandExpired)


FORGED_DEATHS = {
    "a text": "expired",
    "a number": 7,
    "a record without a queue": [{"reason": 7}],
    "a record of the queue itself": [{"queue": "recording.commands", "reason": "rejected"}],
    "more than can be read": [{"queue": f"queue-{number}", "count": 1} for number in range(500)],
}


async def test_death_records_that_a_publisher_forges_prevent_no_outcome(bench: Bench) -> None:
    await bench.stop_worker()
    for name, deaths in FORGED_DEATHS.items():
        headers = {"x-death": deaths, "x-dead-lettered": "rejected", "x-first-death-reason": "x"}
        await bench.send(bench.command(name), headers=headers, expiration=0)
    await bench.waits("commands.dead", len(FORGED_DEATHS))
    await bench.start_worker()
    for name in FORGED_DEATHS:
        assert isinstance(await bench.data(name), CommandExpired | CommandFailed)
    await bench.waits("commands.unanswered", 0)
    assert bench.environment.requests(START) == []


async def test_two_replicas_answer_each_command_once_also_if_one_is_killed(
    rabbitmq: RabbitMQNode, postgresql: PostgreSQLServer, names_prefix: str, tmp_path: Path
) -> None:
    count = 300
    async with (
        open_worker_environment(
            rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=postgresql.new_database()
        ) as environment,
        await aio_pika.connect(rabbitmq.amqp_url) as connection,
    ):
        bench = Bench(environment, rabbitmq, await connection.channel(), names_prefix)
        await bench.stop_worker()
        settings = {**environment.worker.settings, "HTTP_PORT": "0"}
        replica = ForkedWorkerProcess(settings, tmp_path)
        for number in range(count):
            await bench.send(bench.command(f"start-{number}"), expiration=0)
        await bench.waits("commands.dead", count)
        await environment.worker.start()
        await replica.start()
        await bench.data("start-20")
        await environment.worker.kill()
        for number in range(count):
            assert isinstance(await bench.data(f"start-{number}"), CommandExpired)
        for number in range(count):
            assert len({event.id for event in bench.outcomes(f"start-{number}")}) == 1
        await replica.stop()
        assert environment.requests(START) == []
