"""A command for a meeting whose process dies or loses its claim names all that it acted on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import Eventually
from tests.commit_counter import CommitCounter, counted_commits
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.integration.tracking_bench import on_both_engines
from tests.store_requests import observation_of
from worker.broker.messages import Ack, Retry
from worker.store.queries import RecordingsFilter

CHANGE = "change_recording"
PAST_LEASE_SECONDS = 61.0


@pytest.fixture
def commits(tmp_path: Path) -> Iterator[CommitCounter]:
    with counted_commits(tmp_path / "libpq.trace") as counter:
        yield counter


@pytest.fixture
async def bench(
    tmp_path: Path, usual_database_url: str, commits: CommitCounter
) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path, database_url=usual_database_url) as opened:
        opened.sandbox.behaviour.change({"invoked_seconds": 0.0})
        yield opened


def stop(bench: CommandBench) -> dict[str, Any]:
    return command(bench, "stop")


def command(bench: CommandBench, action: str) -> dict[str, Any]:
    return {"type": f"{action}_recording", "id": action, "meeting_id": bench.meeting}


async def record(bench: CommandBench) -> list[str]:
    """Begin recordings of the meeting: two of the worker, and then one of another program."""
    for number in range(2):
        await bench.send(bench.start(f"start-{number}"))
    external = await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    return [*(entry.recording_id for entry in bench.started()[:2]), external.recording_id]


def statuses(bench: CommandBench, recording_ids: list[str]) -> set[str]:
    return {bench.sandbox.recordings.index.get(each).status for each in recording_ids}


def not_yet_executed(operation: str, recording_id: str | None = None) -> Fault:
    """The call is on its way for an hour."""
    return Fault(kind="late", operation=operation, recording_id=recording_id, seconds=3600)


async def die_in(bench: CommandBench, eventually: Eventually, action: str = "stop") -> None:
    """A worker executes the command, and dies when it has met all faults."""
    attempt = asyncio.create_task(bench.send(command(bench, action)))
    await eventually(lambda: all(fault.triggered for fault in bench.sandbox.faults.active()))
    attempt.cancel()
    await asyncio.wait([attempt])
    assert attempt.cancelled()
    bench.sandbox.faults.clear()


async def pass_lease(bench: CommandBench) -> None:
    """Until another worker may have the command. A sweep sees how recordings ended meanwhile."""
    bench.pass_time(PAST_LEASE_SECONDS)
    for known in await bench.store.recordings(RecordingsFilter()):
        snapshot = await bench.api.get_recording(known.recording_id)
        await bench.store.apply([observation_of(snapshot, datetime.now(UTC))])


async def named_by_another(bench: CommandBench, action: str = "stop") -> list[str]:
    """The recordings that the outcome names after an attempt by another worker."""
    bench.handler = bench.new_handler()
    assert await bench.send(command(bench, action)) == Ack()
    ids: list[str] = (await bench.outcome(action))["data"]["recording_ids"]
    return sorted(ids)


@on_both_engines
@pytest.mark.parametrize("executed", [0, 1, 2, 3])
async def test_a_stop_that_dies_after_some_of_its_calls_names_all_recordings_that_it_stopped(
    bench: CommandBench, eventually: Eventually, executed: int
) -> None:
    recordings = await record(bench)
    running, stopped = recordings[: 3 - executed], recordings[3 - executed :]
    for each in stopped:
        bench.sandbox.faults.add(Fault(kind="lost_hang", operation=CHANGE, recording_id=each))
    for each in running:
        bench.sandbox.faults.add(not_yet_executed(CHANGE, each))
    await die_in(bench, eventually)
    await pass_lease(bench)
    assert statuses(bench, stopped) <= {"UPLOADED"}
    assert await named_by_another(bench) == sorted(recordings)
    assert statuses(bench, running) <= {"UPLOADING"}


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_pause_or_resume_that_dies_names_also_what_has_ended_before_the_next_attempt(
    bench: CommandBench, eventually: Eventually, action: str
) -> None:
    recordings = await record(bench)
    if action == "resume":
        assert await bench.send(command(bench, "pause")) == Ack()
    executed, running = recordings[1:], recordings[:1]
    for each in executed:
        bench.sandbox.faults.add(Fault(kind="lost_hang", operation=CHANGE, recording_id=each))
    bench.sandbox.faults.add(not_yet_executed(CHANGE, running[0]))
    await die_in(bench, eventually, action)
    for each in executed:
        await bench.api.control_recording(each, "stop")
    await pass_lease(bench)
    assert await named_by_another(bench, action) == sorted(recordings)
    assert statuses(bench, running) == {"PAUSED" if action == "pause" else "RECORDING"}


async def test_a_pause_whose_answer_was_lost_names_what_has_ended_before_the_next_attempt(
    bench: CommandBench,
) -> None:
    recordings = await record(bench)
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=CHANGE, recording_id=recordings[0]))
    assert isinstance(await bench.send(command(bench, "pause")), Retry)
    bench.sandbox.faults.clear()
    await bench.api.control_recording(recordings[0], "stop")
    await pass_lease(bench)
    assert await named_by_another(bench, "pause") == sorted(recordings)


async def test_a_stop_that_dies_before_its_calls_does_not_name_what_others_stopped(
    bench: CommandBench, eventually: Eventually
) -> None:
    recordings = await record(bench)
    bench.sandbox.faults.add(not_yet_executed("list_recordings"))
    await die_in(bench, eventually)
    for each in recordings:
        await bench.api.control_recording(each, "stop")
    await pass_lease(bench)
    assert await named_by_another(bench) == []


async def test_a_recording_of_another_program_is_followed_even_if_its_stop_dies(
    bench: CommandBench, eventually: Eventually
) -> None:
    external = (await record(bench))[2]
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=CHANGE, recording_id=external))
    await die_in(bench, eventually)
    await pass_lease(bench)
    events = await bench.store.unsent(100)
    keys = [event.routing_key for event in events if event.subject == external]
    assert keys[:2] == ["composite.recording", "composite.uploaded"]
    assert keys[-1] == "composite.completed"


async def test_a_stop_names_what_it_stopped_although_the_api_knows_the_meeting_no_longer(
    bench: CommandBench, eventually: Eventually
) -> None:
    recordings = await record(bench)
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=CHANGE, count=3))
    await die_in(bench, eventually)
    await pass_lease(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", status=404))
    assert await named_by_another(bench) == sorted(recordings)


async def test_a_worker_that_has_lost_the_command_stops_no_recording_that_began_since(
    bench: CommandBench, eventually: Eventually
) -> None:
    recordings = await record(bench)
    bench.sandbox.faults.add(Fault(kind="late", operation="list_recordings", count=1, seconds=1.0))
    frozen = asyncio.create_task(bench.send(stop(bench)))
    await eventually(lambda: all(fault.triggered for fault in bench.sandbox.faults.active()))
    bench.pass_time(PAST_LEASE_SECONDS)
    assert await named_by_another(bench) == sorted(recordings)
    later = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    assert isinstance(await frozen, Retry)
    assert statuses(bench, [later.recording_id]) == {"RECORDING"}


@on_both_engines
async def test_a_command_for_a_meeting_costs_one_transaction_more_than_one_for_a_recording(
    bench: CommandBench, commits: CommitCounter
) -> None:
    async def cost_of(command_type: str, **target: Any) -> int:
        before = commits.count()
        command = {"id": f"{command_type}-{target}", "type": command_type, **target}
        assert await bench.send(command) == Ack()
        return commits.count() - before

    for number in range(3):
        await bench.send(bench.start(f"start-{number}"))
    first, meeting = bench.started()[0].recording_id, bench.meeting
    assert await cost_of("stop_recording", recording_id=first) == 2
    assert await cost_of("pause_recording", meeting_id=meeting) == 3
    assert await cost_of("stop_recording", meeting_id=meeting) == 3
    assert await cost_of("stop_recording", meeting_id=meeting, kind="composite") == 2


async def test_a_stop_asks_for_the_starts_of_all_unknown_recordings_in_one_transaction(
    bench: CommandBench, commits: CommitCounter
) -> None:
    """In a meeting with 500, no call would be sent before 500 transactions."""
    body = {"meeting_id": bench.meeting, "allow_multiple_recordings": True}
    for _ in range(9):
        await bench.api.start_composite_recording(body)
    before = commits.count()
    assert await bench.send(stop(bench)) == Ack()
    assert commits.count() - before <= 5, "its claim, the starts, its intent, its end, and a spare"


async def test_a_stop_ends_together_with_the_starts_that_it_cancelled(
    bench: CommandBench, commits: CommitCounter
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="start*", status=401))
    for number in range(2):
        await bench.send(bench.start(f"start-{number}"))
    before = commits.count()
    assert await bench.send(stop(bench)) == Ack()
    assert commits.count() - before == 2, "its claim and its end"
    for command_id in ("start-0", "start-1", "stop"):
        assert await bench.outcomes(command_id)
