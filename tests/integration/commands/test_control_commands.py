"""Stop, pause, resume and sync."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Final

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import START, CommandBench
from worker.broker.messages import Ack, Retry
from worker.domain.recording import Observation
from worker.store.queries import RecordingsFilter


async def test_a_stop_that_arrives_before_its_start_waits_and_then_stops(
    bench: CommandBench,
) -> None:
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert await bench.send(stop) == Ack()
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    assert await bench.unpark() == [Ack()]
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


async def test_a_stop_of_an_invoked_recording_waits_until_it_records(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 3600.0})
    await bench.send(bench.start())
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    settlement = await bench.send(stop)
    assert isinstance(settlement, Retry)
    assert settlement.code == "not_stoppable"
    bench.sandbox.clock.advance(3601)
    assert await bench.send(stop) == Ack()


async def test_a_stop_whose_start_never_arrives_fails_as_start_unknown(bench: CommandBench) -> None:
    stop = {"type": "stop_recording", "id": "stop", "start_id": "never"}
    assert await bench.send(stop) == Ack()
    bench.ahead = 299.0
    assert await bench.unpark() == []
    bench.ahead = 301.0
    assert await bench.unpark() == [Ack()]
    data = (await bench.outcome("stop"))["data"]
    assert data["last_error"]["code"] == "start_unknown"


async def test_a_pause_of_a_start_that_nobody_sent_is_attempted_rarely(
    bench: CommandBench,
) -> None:
    pause = {"type": "pause_recording", "id": "pause", "start_id": "never"}
    turns = 1
    while isinstance(settlement := await bench.send(pause), Retry):
        turns += 1
        bench.ahead += settlement.delay_seconds
    assert turns <= 10
    assert 300 <= bench.ahead <= 310
    assert (await bench.outcome("pause"))["data"]["last_error"]["code"] == "start_unknown"


async def test_a_stop_that_was_too_early_is_sent_again(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    refused = Fault(
        kind="refuse",
        operation="change_recording",
        status=400,
        message="recording is not in progress (INVOKED)",
        count=1,
    )
    bench.sandbox.faults.add(refused)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert await bench.send(stop) == Ack()
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


@pytest.mark.parametrize("field", ["meeting_id", "start_id", "recording_id"])
@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "not listed"])
async def test_a_stop_waits_for_a_recording_that_has_just_begun_and_that_the_api_does_not_find_yet(
    bench: CommandBench, field: str, is_listed: bool
) -> None:
    await bench.send(bench.start())
    (started,) = bench.started()
    bench.pass_time(5)
    hidden = ["change_recording", "get_recording", *([] if is_listed else ["list_recordings"])]
    for operation in hidden:
        bench.sandbox.faults.add(Fault(kind="refuse", operation=operation, status=404))
    named = {
        "meeting_id": bench.meeting,
        "start_id": "start-1",
        "recording_id": started.recording_id,
    }
    stop = {"type": "stop_recording", "id": "stop-1", field: named[field]}
    settlement = await bench.send(stop)
    assert isinstance(settlement, Retry)
    assert settlement.code == "not_stoppable"
    bench.sandbox.faults.clear()
    assert await bench.send(stop) == Ack()
    assert (await bench.outcome("stop-1"))["data"]["recording_ids"] == [started.recording_id]
    stopped = await bench.api.get_recording(started.recording_id)
    assert stopped.status in {"UPLOADING", "UPLOADED"}


async def test_a_stop_does_not_wait_for_an_old_recording_that_the_api_does_not_have(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    bench.pass_time(60)
    for operation in ("change_recording", "get_recording", "list_recordings"):
        bench.sandbox.faults.add(Fault(kind="refuse", operation=operation, status=404))
    stop = {"type": "stop_recording", "id": "stop-1", "meeting_id": bench.meeting}
    assert await bench.send(stop) == Ack()


async def test_a_stop_waits_while_a_program_in_front_of_the_api_answers_404(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    bench.pass_time(60)
    bench.sandbox.faults.add(Fault(kind="refuse", status=404, envelope="html"))
    stop = {"type": "stop_recording", "id": "stop-1", "start_id": "start-1"}
    assert isinstance(await bench.send(stop), Retry)
    bench.sandbox.faults.clear()
    assert await bench.send(stop) == Ack()
    (started,) = bench.started()
    assert (await bench.api.get_recording(started.recording_id)).status == "UPLOADING"


LOST: Final = Fault(kind="lost_502", operation="change_recording", count=1)
REFUSED: Final = Fault(kind="refuse", operation="change_recording", status=429, count=1)
REFUSED_NEXT: Final = Fault(
    kind="refuse", operation="change_recording", status=429, skip=1, count=1
)


@pytest.mark.parametrize(
    ("calls", "is_named"),
    [([LOST, LOST], True), ([LOST, REFUSED_NEXT], True), ([REFUSED], False)],
    ids=["lost", "lost, then refused", "refused"],
)
async def test_a_stop_names_a_recording_that_it_may_have_ended_before_its_next_attempt(
    bench: CommandBench, calls: list[Fault], is_named: bool
) -> None:
    await bench.send(bench.start())
    bench.pass_time(5)
    for fault in calls:
        bench.sandbox.faults.add(fault)
    stop = {"type": "stop_recording", "id": "stop-1", "meeting_id": bench.meeting}
    assert isinstance(await bench.send(stop), Retry)
    (started,) = bench.started()
    if not is_named:
        await bench.api.control_recording(started.recording_id, "stop")  # by another program
    bench.pass_time(60)
    uploaded = await bench.api.get_recording(started.recording_id)
    now = datetime.now(UTC)
    await bench.store.apply(
        [Observation(snapshot=uploaded, observed_by="sweep", asked_at=now, observed_at=now)]
    )
    assert await bench.send(stop) == Ack()
    named = (await bench.outcome("stop-1"))["data"]["recording_ids"]
    assert named == ([started.recording_id] if is_named else [])


async def test_a_stop_that_is_cancelled_after_it_was_sent_counts_as_one_whose_answer_is_lost(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    bench.pass_time(5)
    (started,) = bench.started()
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation="change_recording", count=1))
    lost: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await bench.api.control_recording(
                started.recording_id, "stop", on_answer_lost=lambda: lost.append("stop")
            )
    assert lost == ["stop"]


async def test_a_repeated_stop_whose_answer_is_lost_succeeds(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    too_early = Fault(kind="refuse", operation="change_recording", status=400, count=1)
    lost = Fault(kind="lost_reset", operation="change_recording", count=1)
    for fault in (too_early, lost):
        bench.sandbox.faults.add(fault)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert await bench.send(stop) == Ack()
    requests = [
        entry
        for entry in bench.sandbox.request_log.requests
        if entry.operation == "change_recording"
    ]
    assert [entry.status for entry in requests] == [400, 200, 404]
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


async def test_stopping_an_ended_recording_succeeds(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0, "uploading_seconds": 0.0})
    await bench.send(bench.start())
    (started,) = bench.started()
    for number in range(3):
        stop = {
            "type": "stop_recording",
            "id": f"stop-{number}",
            "recording_id": started.recording_id,
        }
        assert await bench.send(stop) == Ack()
        assert (await bench.outcome(f"stop-{number}"))["type"] == "command.succeeded.v1"


async def test_a_stop_of_a_meeting_stops_all_its_live_recordings_also_unknown_ones(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    external = await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    stop = {"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting}
    assert await bench.send(stop) == Ack()
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert sorted(stopped) == sorted([external.recording_id, bench.started()[0].recording_id])


async def test_a_stop_of_a_meeting_waits_while_a_start_of_the_meeting_is_in_doubt(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    stop = {"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting}
    settlement = await bench.send(stop)
    assert isinstance(settlement, Retry)
    assert settlement.code == "start_pending"
    await bench.send(bench.start())
    assert await bench.send(stop) == Ack()
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert stopped == [bench.started()[0].recording_id]


async def test_a_stop_of_a_meeting_can_be_limited_to_one_kind(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    stop = {
        "type": "stop_recording",
        "id": "stop",
        "meeting_id": bench.meeting,
        "kind": "track",
    }
    await bench.send(stop)
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert stopped == [bench.started()[0].recording_id]


async def test_pause_and_resume_publish_status_changes_and_can_be_repeated(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    for number, action in enumerate(["pause", "pause", "resume", "pause"]):
        command = {
            "type": f"{action}_recording",
            "id": f"c{number}",
            "start_id": "start-1",
        }
        assert await bench.send(command) == Ack()
        assert (await bench.outcome(f"c{number}"))["type"] == "command.succeeded.v1"
    keys = [
        entry.routing_key for entry in await bench.store.unsent(100) if entry.exchange == "status"
    ]
    assert keys[1:] == ["track.paused", "track.recording", "track.paused"]


async def test_a_sync_adopts_a_recording_that_others_started(bench: CommandBench) -> None:
    external = await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    sync = {"type": "sync_recording", "id": "sync", "recording_id": external.recording_id}
    assert await bench.send(sync) == Ack()
    (adopted,) = await bench.store.recordings(RecordingsFilter(app="default"))
    assert (adopted.recording_id, adopted.start_id) == (external.recording_id, None)


@pytest.mark.parametrize("action", ["pause", "stop", "sync", "replay"])
async def test_a_recording_id_may_be_written_in_upper_case(
    bench: CommandBench, action: str
) -> None:
    await bench.send(bench.start())
    bench.pass_time(5)
    (started,) = bench.started()
    command = {
        "type": f"{action}_recording",
        "id": "c-1",
        "recording_id": started.recording_id.upper(),
    }
    assert await bench.send(command) == Ack()
    assert (await bench.outcome("c-1"))["data"]["recording_ids"] == [started.recording_id]


async def test_a_sync_of_an_unknown_recording_is_rejected(bench: CommandBench) -> None:
    sync = {"type": "sync_recording", "id": "sync", "recording_id": str(uuid.uuid4())}
    assert await bench.send(sync) == Ack()
    assert (await bench.outcome("sync"))["data"]["code"] == "not_found"
