"""A recording that a command ended while a start might have begun it gets its events."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa

from recording_sandbox.model.faults import Fault, FaultKind
from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.integration.tracking_bench import on_both_engines, open_bench
from tests.store_requests import observation_of
from worker.broker.messages import Ack, Retry
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.times import utc
from worker.store.late_adoption import LateAdoption

PAST_SETTLE_SECONDS = 61.0


@pytest.fixture
async def bench(tmp_path: Path, usual_database_url: str) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path, database_url=usual_database_url) as opened:
        opened.sandbox.behaviour.change({"invoked_seconds": 0.0, "uploading_seconds": 1e6})
        yield opened


def start(bench: CommandBench) -> dict[str, Any]:
    name = {"file_name_prefix": "ours"}
    return {"type": "start_recording", "id": "start", "meeting_id": bench.meeting, **name}


def command(bench: CommandBench, command_type: str, **target: str) -> dict[str, Any]:
    return {"type": command_type, "id": "later", **(target or {"meeting_id": bench.meeting})}


async def start_with_lost_answer(bench: CommandBench, *, executed: bool) -> None:
    lost: FaultKind = "lost_reset" if executed else "reset"
    bench.sandbox.faults.add(Fault(kind=lost, operation="start_recording", count=1))
    assert isinstance(await bench.send(start(bench)), Retry)


async def start_external(bench: CommandBench) -> str:
    """Another program records the meeting; returns its recording's id."""
    body = {"meeting_id": bench.meeting, "file_name_prefix": "theirs"}
    return (await bench.api.start_composite_recording(body)).recording_id


async def end_start(bench: CommandBench) -> None:
    """The start finds out that its call was not executed."""
    bench.pass_time(PAST_SETTLE_SECONDS)
    assert await bench.send(start(bench)) == Ack()


async def adopt(bench: CommandBench) -> None:
    await bench.store.adopt_deferred(LateAdoption(app="default", now=bench.store.now()))


async def statuses(bench: CommandBench, recording_id: str) -> list[tuple[str, str | None]]:
    """Each published status of the recording, with its `start_id`."""
    unsent = await bench.store.unsent(100)
    events = [event for event in unsent if event.subject == recording_id]
    data = [msgspec.json.decode(event.body)["data"] for event in events]
    return [(each["status"], each["start_id"]) for each in data]


@on_both_engines
async def test_a_recording_that_a_stop_ended_while_a_start_was_in_doubt_is_adopted_after_the_start(
    bench: CommandBench,
) -> None:
    await start_with_lost_answer(bench, executed=False)
    external = await start_external(bench)
    assert isinstance(await bench.send(command(bench, "stop_recording")), Retry)
    await adopt(bench)
    assert await statuses(bench, external) == []
    await end_start(bench)
    assert await bench.send(command(bench, "stop_recording")) == Ack()
    assert (await bench.outcome("later"))["data"]["recording_ids"] == [external]
    await adopt(bench)
    await adopt(bench)
    assert await statuses(bench, external) == [("RECORDING", None), ("UPLOADING", None)]


@pytest.mark.parametrize("command_type", ["stop_recording", "pause_recording"])
async def test_a_recording_named_by_a_command_while_a_start_was_in_doubt_is_adopted_after_the_start(
    bench: CommandBench, command_type: str
) -> None:
    await start_with_lost_answer(bench, executed=False)
    external = await start_external(bench)
    assert await bench.send(command(bench, command_type, recording_id=external)) == Ack()
    await end_start(bench)
    await adopt(bench)
    after = "UPLOADING" if command_type == "stop_recording" else "PAUSED"
    assert await statuses(bench, external) == [(after, None)]


async def test_a_recording_whose_stop_died_while_a_start_was_in_doubt_is_adopted_after_the_start(
    bench: CommandBench, eventually: Eventually
) -> None:
    await start_with_lost_answer(bench, executed=False)
    external = await start_external(bench)
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation="change_recording"))
    attempt = asyncio.create_task(bench.send(command(bench, "stop_recording")))
    await eventually(lambda: all(fault.triggered for fault in bench.sandbox.faults.active()))
    attempt.cancel()
    await asyncio.wait([attempt])
    await end_start(bench)
    await adopt(bench)
    assert await statuses(bench, external) == [("RECORDING", None)]


@on_both_engines
async def test_the_recording_of_the_start_in_doubt_is_adopted_by_the_start(
    bench: CommandBench,
) -> None:
    await start_with_lost_answer(bench, executed=True)
    (own,) = bench.started()
    assert isinstance(await bench.send(command(bench, "stop_recording")), Retry)
    await adopt(bench)
    assert await bench.send(start(bench)) == Ack()
    await adopt(bench)
    assert await statuses(bench, own.recording_id) == [
        ("RECORDING", "start"),
        ("UPLOADING", "start"),
    ]


async def test_a_recording_whose_start_never_ends_is_adopted_after_a_day(
    bench: CommandBench,
) -> None:
    await start_with_lost_answer(bench, executed=False)
    external = await start_external(bench)
    assert isinstance(await bench.send(command(bench, "stop_recording")), Retry)
    bench.pass_time(90_000)
    await adopt(bench)
    assert await statuses(bench, external) == [("RECORDING", None), ("UPLOADING", None)]


async def test_a_recording_is_adopted_although_a_hundred_others_still_wait(
    bench: CommandBench,
) -> None:
    await start_with_lost_answer(bench, executed=False)
    now = bench.store.now()
    meetings = {f"a{number:03}": bench.meeting for number in range(100)} | {"b": str(uuid4())}
    snapshots = [
        RecordingSnapshot(
            recording_id=recording_id,
            status=Status.UPLOADING,
            kind="composite",
            meeting_id=meeting_id,
        )
        for recording_id, meeting_id in meetings.items()
    ]
    await bench.store.apply(
        [observation_of(each, utc(now), "command", awaits_start=True) for each in snapshots]
    )
    first = await bench.store.adopt_deferred(LateAdoption(app="default", now=now))
    assert first == "a099"
    assert await statuses(bench, "b") == []
    second = await bench.store.adopt_deferred(LateAdoption(app="default", now=now, after=first))
    assert second == ""
    assert await statuses(bench, "b") == [("UPLOADING", None)]


async def test_many_recordings_that_wait_take_no_more_statements_than_one(
    bench: CommandBench,
) -> None:
    """The commands of a replica share its transactions, so all would wait for these statements."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for status in (Status.RECORDING, Status.UPLOADING):
            snapshots = [
                RecordingSnapshot(
                    recording_id=f"r{number}", status=status, meeting_id=bench.meeting
                )
                for number in range(9)
            ]
            at = utc(bench.store.now())
            await bench.store.apply(
                [observation_of(each, at, "command", awaits_start=True) for each in snapshots]
            )
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    about = [text.split()[0] for text in statements if "deferred_recordings" in text]
    assert about == ["SELECT", "INSERT", "SELECT", "UPDATE"]


async def test_an_undocumented_status_loses_nothing_that_was_observed_before(
    bench: CommandBench,
) -> None:
    """A recording with such a status is not adopted."""
    await start_with_lost_answer(bench, executed=False)
    external = await start_external(bench)
    assert isinstance(await bench.send(command(bench, "stop_recording")), Retry)
    await end_start(bench)
    undocumented = RecordingSnapshot(
        recording_id=external,
        status=Status.RECORDING,
        unknown_status="SAVING",
        kind="composite",
        meeting_id=bench.meeting,
    )
    await bench.store.apply([observation_of(undocumented, utc(bench.store.now()), "sweep")])
    await adopt(bench)
    assert await statuses(bench, external) == [("RECORDING", None), ("UPLOADING", None)]


async def test_the_leader_adopts_even_while_lists_fail(usual_database_url: str) -> None:
    async with open_bench(usual_database_url) as tracking:
        tracking.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings"))
        snapshot = RecordingSnapshot(
            recording_id="external",
            status=Status.UPLOADING,
            kind="composite",
            meeting_id=tracking.meeting,
        )
        await tracking.observe(snapshot, "command", awaits_start=True)
        assert await tracking.published("external") == []
        await tracking.sweep.sweep_if_due(lambda: True)
        assert await tracking.published("external") == ["UPLOADING"]
