"""`replay_recording` by a worker over RabbitMQ: to the exchanges, to one queue, after a kill."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import CloudEvent, CommandSucceeded, Completed, Status
from tests.e2e.worker_environment import (
    EVENT_TIMEOUT_SECONDS,
    WorkerEnvironment,
    open_worker_environment,
)
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

FILES = 450


async def long_recording(url: str) -> str:
    """A recording with many events, all of which were published."""
    recording_id = str(uuid.uuid4())
    files = tuple(
        TrackFile(file_name=f"f{number:05}.webm", media_kind="audio", download_url="https://e.com/")
        for number in range(FILES)
    )
    store = await Store.open(url, source="recording-worker")
    for status in (Status.INVOKED, Status.RECORDING, Status.UPLOADED):
        now = datetime.now(UTC)
        observation = Observation(
            snapshot=RecordingSnapshot(recording_id=recording_id, status=status, kind="track"),
            observed_by="sweep",
            asked_at=now,
            observed_at=now,
            files=files if status is Status.UPLOADED else None,
            files_final=status is Status.UPLOADED,
        )
        await store.apply([observation])
    while page := await store.unsent(500):
        sent = [event.position for event in page]
        await store.mark_page(PageMarks(sent=sent), datetime.now(UTC).timestamp())
    await store.close()
    return recording_id


def sequences(events: list[CloudEvent], recording_id: str) -> list[int]:
    return [int(event.sequence or 0) for event in events if event.subject == recording_id]


async def completed(environment: WorkerEnvironment, times: int = 1) -> list[CloudEvent]:
    """All events, after this many completions were published."""

    def found(events: list[CloudEvent]) -> list[CloudEvent] | None:
        count = sum(isinstance(event.data, Completed) for event in events)
        return list(events) if count >= times else None

    return await environment.messages.until(
        found, within=EVENT_TIMEOUT_SECONDS, description=f"completion number {times}"
    )


def without_repeats(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_replay_that_a_kill_interrupts_continues_in_order(
    rabbitmq: RabbitMQNode,
    postgresql: PostgreSQLServer,
    names_prefix: str,
    tmp_path: Path,
    engine: str,
) -> None:
    url = "sqlite:///state.db" if engine == "sqlite" else postgresql.new_database()
    recording_id = await long_recording(
        f"sqlite:///{tmp_path / 'state.db'}" if engine == "sqlite" else url
    )
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=url
    ) as environment:
        await environment.send(type="replay_recording", id="replay", recording_id=recording_id)
        await environment.messages.until(
            lambda events: len(sequences(events, recording_id)) > FILES // 3,
            within=EVENT_TIMEOUT_SECONDS,
            description="a part of the replay",
        )
        await environment.worker.kill()
        await environment.worker.start()

        events = await completed(environment)

    numbers = sequences(events, recording_id)
    assert without_repeats(numbers) == list(range(1, FILES + 5))
    assert len(numbers) < 2 * FILES, "the replay went on where it was"


async def test_replays_of_several_replicas_publish_each_event_in_order(
    rabbitmq: RabbitMQNode, postgresql: PostgreSQLServer, names_prefix: str, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    recording_id = await long_recording(url)
    async with (
        open_worker_environment(
            rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=url
        ) as environment,
        open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=url),
    ):
        for number in range(4):
            command_id = f"replay-{number}"
            await environment.send(
                type="replay_recording", id=command_id, recording_id=recording_id
            )
        for number in range(4):
            outcome = await environment.outcome(f"replay-{number}")
            assert isinstance(outcome.data, CommandSucceeded)
        events = await completed(environment)

    numbers = sequences(events, recording_id)
    last = numbers[len(numbers) - numbers[::-1].index(1) - 1 :]
    assert without_repeats(last) == list(range(1, FILES + 5))


@asynccontextmanager
async def own_queue(amqp_url: str) -> AsyncIterator[tuple[str, list[AbstractIncomingMessage]]]:
    """A queue for replies, and the messages in it."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        received: list[AbstractIncomingMessage] = []

        async def receive(message: AbstractIncomingMessage) -> None:
            received.append(message)

        await queue.consume(receive, no_ack=True)
        yield queue.name, received


async def test_a_replay_with_a_reply_address_goes_only_there_and_ends_with_the_outcome(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    recording_id = await long_recording(f"sqlite:///{tmp_path / 'state.db'}")
    async with (
        open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment,
        own_queue(rabbitmq.amqp_url) as (queue, received),
    ):
        command = {"type": "replay_recording", "id": "replay", "recording_id": recording_id}
        message = aio_pika.Message(
            json.dumps(command).encode(),
            content_type="application/json",
            reply_to=queue,
            correlation_id="mine",
        )
        connection = await aio_pika.connect(rabbitmq.amqp_url)
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(f"{names_prefix}.commands")
            await exchange.publish(message, "replay_recording")
        await eventually(
            lambda: received and received[-1].type == "command.succeeded.v1",
            seconds=EVENT_TIMEOUT_SECONDS,
        )
        await environment.outcome("replay")
        on_exchanges = sequences(environment.messages.events, recording_id)

    bodies = [json.loads(message.body) for message in received]
    assert [int(body["sequence"]) for body in bodies[:-1]] == list(range(1, FILES + 5))
    assert {message.correlation_id for message in received} == {"mine"}
    assert on_exchanges == []


async def test_events_during_a_replay_follow_it(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        await environment.start()
        outcome = await environment.outcome("start-1")
        assert isinstance(outcome.data, CommandSucceeded)
        (recording_id,) = outcome.data.recording_ids
        replays = 0

        async def replay_again_and_again() -> None:
            nonlocal replays
            while True:
                replays += 1
                await environment.send(
                    type="replay_recording", id=f"replay-{replays}", recording_id=recording_id
                )
                await environment.outcome(f"replay-{replays}")

        replaying = asyncio.create_task(replay_again_and_again())
        await environment.send(type="stop_recording", id="stop", start_id="start-1")
        await completed(environment)
        replaying.cancel()
        await asyncio.wait([replaying])
        await environment.send(type="replay_recording", id="replay-last", recording_id=recording_id)
        await environment.outcome("replay-last")
        events = await completed(environment, 2)

    numbers = sequences(events, recording_id)
    known: set[int] = set()
    for number in numbers:
        assert number == 1 or number - 1 in known, f"{number} came before {number - 1}: {numbers}"
        known.add(number)
    assert known == set(range(1, max(known) + 1))
