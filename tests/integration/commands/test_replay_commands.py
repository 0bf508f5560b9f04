"""`replay_recording` through the command handler: its events, and its refusals."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.store_requests import observation_of
from worker.broker.messages import Ack
from worker.domain.errors import Unavailable
from worker.domain.recording import StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.times import utc
from worker.store.database.engine import open_engine
from worker.store.database.schema import outbox
from worker.store.outbox_marks import PageMarks
from worker.store.unsent_events import UnsentEvent


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path, breaks=True) as opened:
        yield opened


async def observe_twice(
    bench: CommandBench, recording_id: str, *, app: str = "default", start_id: str | None = None
) -> None:
    """A recording with two events."""
    for status in (Status.INVOKED, Status.RECORDING):
        now = utc(bench.store.now())
        snapshot = RecordingSnapshot(recording_id=recording_id, status=status, kind="track")
        start = StartContext(start_id=start_id) if start_id else None
        await bench.store.apply([observation_of(snapshot, now, app=app, start=start)])


async def send_all(bench: CommandBench) -> list[UnsentEvent]:
    """The events that the relay would publish, with the broker's confirmation."""
    events = await bench.store.unsent(1000)
    positions = [event.position for event in events]
    await bench.store.mark_page(PageMarks(sent=positions), bench.store.now())
    return events


def replay(**fields: Any) -> dict[str, Any]:
    return {"type": "replay_recording", "id": "replay-1", **fields}


def sequences(events: list[UnsentEvent], exchange: str) -> list[tuple[str, int]]:
    bodies = [msgspec.json.decode(event.body) for event in events if event.exchange == exchange]
    return [(body["subject"], int(body["sequence"])) for body in bodies]


async def test_a_replay_names_the_recording_and_asks_the_api_for_nothing(
    bench: CommandBench,
) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    await send_all(bench)

    assert await bench.send(replay(recording_id=recording_id)) == Ack()

    outcome = await bench.outcome("replay-1")
    assert outcome["data"]["recording_ids"] == [recording_id]
    assert outcome["routing_key"] == "replay_recording.succeeded"
    again = await send_all(bench)
    assert sequences(again, "status") == [(recording_id, 1), (recording_id, 2)]
    assert not bench.sandbox.request_log.requests


async def test_a_replay_does_not_wait_while_the_api_is_unavailable(bench: CommandBench) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    for _ in range(20):
        bench.breaker.record(Unavailable("unavailable", "the API answered 503"))
    assert not bench.breaker.allow_request()

    assert await bench.send(replay(recording_id=recording_id)) == Ack()

    assert (await bench.outcome("replay-1"))["type"] == "command.succeeded.v1"


async def test_a_recording_that_is_not_known_is_not_found(bench: CommandBench) -> None:
    for number, target in enumerate(
        ({"recording_id": str(uuid.uuid4())}, {"start_id": "nobody-sent-this"})
    ):
        assert await bench.send(replay(**target) | {"id": f"replay-{number}"}) == Ack()

        data = (await bench.outcome(f"replay-{number}"))["data"]
        assert (data["code"], data["http_status"]) == ("not_found", None)
        assert next(iter(target.values())) in data["message"]


async def test_a_recording_without_any_kept_event_is_not_kept(
    bench: CommandBench, tmp_path: Path
) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    engine = open_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.begin() as connection:
        connection.execute(sa.delete(outbox))
    engine.dispose()

    assert await bench.send(replay(recording_id=recording_id)) == Ack()

    assert (await bench.outcome("replay-1"))["data"]["code"] == "not_kept"


async def test_a_recording_of_another_app_is_refused(bench: CommandBench) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id, app="eu")

    await bench.send(replay(recording_id=recording_id))

    assert (await bench.outcome("replay-1"))["data"]["code"] == "wrong_app"


async def test_a_repeated_command_replays_nothing_more(bench: CommandBench) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    await send_all(bench)
    command = replay(recording_id=recording_id)
    await bench.send(command)
    await send_all(bench)

    await bench.send(command)
    await bench.send(command, reply_to="my-queue")

    events = await send_all(bench)
    assert {event.subject for event in events} == {"replay-1"}
    assert {event.event_type for event in events} == {"command.succeeded.v1"}
    assert [event.exchange for event in events].count("reply") == 1


async def test_a_replay_with_a_reply_address_leaves_the_exchanges_alone(
    bench: CommandBench,
) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    await send_all(bench)

    await bench.send(replay(recording_id=recording_id), reply_to="my-queue", correlation_id="mine")

    events = await send_all(bench)
    assert {event.exchange for event in events} == {"results", "reply"}
    replies = [event for event in events if event.exchange == "reply"]
    assert {(event.routing_key, event.correlation_id) for event in replies} == {
        ("my-queue", "mine")
    }
    assert [event.event_type for event in replies] == [
        "recording.status_changed.v1",
        "recording.status_changed.v1",
        "command.succeeded.v1",
    ]


async def test_a_start_with_a_surplus_recording_is_replayed_with_both(
    bench: CommandBench, tmp_path: Path
) -> None:
    await bench.send(bench.start())
    (own,) = (await bench.outcome())["data"]["recording_ids"]
    surplus = str(uuid.uuid4())
    await observe_twice(bench, surplus)
    with_surplus = sa.text("UPDATE inbox SET acted_on = :ids WHERE command_id = 'start-1'")
    engine = open_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.begin() as connection:
        connection.execute(with_surplus, {"ids": f'["{surplus}"]'})
    engine.dispose()
    await send_all(bench)

    await bench.send(replay(start_id="start-1"))

    outcome = await bench.outcome("replay-1")
    assert set(outcome["data"]["recording_ids"]) == {own, surplus}
    again = sequences(await send_all(bench), "status")
    assert {subject for subject, _ in again} == {own, surplus}


async def test_a_replay_after_its_deadline_expires(bench: CommandBench) -> None:
    recording_id = str(uuid.uuid4())
    await observe_twice(bench, recording_id)
    await send_all(bench)

    await bench.send(replay(recording_id=recording_id, deadline="2020-01-01T00:00:00Z"))

    events = await send_all(bench)
    assert [event.event_type for event in events] == ["command.expired.v1"]
