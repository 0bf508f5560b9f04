"""A start whose answer is lost: its recording is found, adopted, and never started again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.recording import StartRequest
from tests.integration.command_bench import START, CommandBench
from worker.broker.messages import Ack, Retry
from worker.store.queries import RecordingsFilter


@pytest.mark.parametrize("kind", ["lost_reset", "lost_hang", "lost_half", "lost_502", "lost_odd"])
async def test_a_start_whose_answer_is_lost_adopts_its_recording_and_starts_no_other(
    bench: CommandBench, kind: Any
) -> None:
    bench.sandbox.faults.add(Fault(kind=kind, operation="start*", count=1))
    assert isinstance(await bench.send_with_short_timeout(bench.start()), Retry)
    assert await bench.outcomes() == []
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


async def test_the_recording_of_a_lost_answer_is_found_if_the_api_counts_its_pages_from_0(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"first_page": 0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


def lose_answer_and_omit(bench: CommandBench, *fields: str) -> None:
    """The answer to the start is lost, and the API's list lacks these fields."""
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    bench.sandbox.faults.add(Fault(kind="omit", operation="list_recordings", fields=fields))


async def test_a_recording_that_is_listed_without_its_invocation_is_adopted_by_its_start(
    bench: CommandBench,
) -> None:
    lose_answer_and_omit(bench, "invoked_time")
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


async def test_a_recording_that_is_listed_without_any_time_keeps_its_start_from_a_second_call(
    bench: CommandBench,
) -> None:
    lose_answer_and_omit(bench, "invoked_time", "started_time")
    for _ in range(9):
        settlement = await bench.send(bench.start())
        bench.pass_time(6)
    assert isinstance(settlement, Retry)
    assert settlement.code == "start_unconfirmed"
    assert len(bench.started()) == 1


@pytest.mark.parametrize("limit", ["stop", "deadline"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse", "status": 400},
        {"kind": "refuse", "status": 404},
        {"kind": "refuse", "status": 409},
        {"kind": "omit", "fields": ("invoked_time", "started_time")},
    ],
    ids=["400", "404", "409", "no times"],
)
async def test_a_start_that_was_executed_is_not_given_up_because_the_list_cannot_show_it(
    bench: CommandBench, fault: dict[str, Any], limit: str
) -> None:
    deadline = {"deadline": (datetime.now(UTC) + timedelta(seconds=20)).isoformat()}
    command = bench.start(**deadline if limit == "deadline" else {})
    bench.sandbox.faults.add(Fault(kind="lost_half", operation="start*", count=1))
    assert isinstance(await bench.send(command), Retry)
    bench.pass_time(31)
    if limit == "stop":
        await bench.send({"type": "stop_recording", "id": "stop-1", "start_id": "start-1"})
    bench.sandbox.faults.add(Fault(operation="list_recordings", count=3, **fault))
    for _ in range(3):
        assert isinstance(await bench.send(command), Retry)
        bench.pass_time(6)
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


@pytest.mark.parametrize(
    ("command_type", "expected"),
    [("stop_recording", Ack), ("pause_recording", Ack), ("sync_recording", Retry)],
)
async def test_a_command_does_not_adopt_a_recording_that_a_start_is_still_looking_for(
    bench: CommandBench, command_type: str, expected: type[Ack | Retry]
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    await bench.send(bench.start(metadata={"job": "1"}))
    (started,) = bench.started()
    command = {"type": command_type, "id": "other", "recording_id": started.recording_id}
    assert isinstance(await bench.send(command), expected)
    assert await bench.send(bench.start(metadata={"job": "1"})) == Ack()
    bodies = [msgspec.json.decode(event.body) for event in await bench.store.unsent(100)]
    events = [body["data"] for body in bodies if body["subject"] == started.recording_id]
    assert {(event["start_id"], event["metadata"]["job"]) for event in events} == {("start-1", "1")}
    assert await bench.send(command) == Ack()


@pytest.mark.parametrize("kind", ["lost_reset", "reset"])
@pytest.mark.parametrize("named_by", ["recording_id", "meeting_id"])
async def test_a_stop_adopts_a_recording_of_another_program_although_a_start_may_have_called_since(
    bench: CommandBench, named_by: str, kind: Any
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    request = StartRequest(kind="track", app_id="app", meeting_id=bench.meeting)
    theirs = bench.sandbox.recordings.start(request).id
    bench.pass_time(60)
    bench.sandbox.faults.add(Fault(kind=kind, operation="start*", count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    target = theirs if named_by == "recording_id" else bench.meeting
    await bench.send({"type": "stop_recording", "id": "stop", named_by: target})
    assert [event.routing_key for event in await bench.store.unsent(9) if event.subject == theirs]


ID_PAIR = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b01_c9e8d7b6-a504-4392-8170-6f5e4d3c2b01"


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.parametrize(
    "prefix", ["sales_call_audio", "team_a_audio", "a_b_video", f"default_{ID_PAIR}_peer_audio"]
)
async def test_a_composite_whose_file_name_looks_like_a_track_is_adopted_as_a_composite(
    bench: CommandBench, prefix: str, codec: str
) -> None:
    command = bench.start(
        type="start_recording",
        file_name_prefix=prefix,
        video_config={"codec": codec},
        allow_multiple_recordings=True,
    )
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    bench.ahead = 31.0  # from now on a start that is not found is called again
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]
    (recording,) = await bench.store.recordings(RecordingsFilter(app="default"))
    assert recording.kind == "composite"


async def test_a_start_whose_answer_is_lost_does_not_adopt_the_recording_of_another_start(
    bench: CommandBench,
) -> None:
    await bench.api.start_composite_recording(
        {"meeting_id": bench.meeting, "allow_multiple_recordings": True}
    )
    other_settlement = await bench.send(bench.start("theirs"))
    assert other_settlement == Ack()
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    assert await bench.send(bench.start()) == Ack()
    own_id = bench.started()[-1].recording_id
    assert (await bench.outcome())["data"]["recording_ids"] == [own_id]
    assert len(bench.started()) == 3


async def test_a_recording_that_began_before_our_call_is_not_adopted(
    bench: CommandBench,
) -> None:
    external = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.sandbox.clock.advance(60)
    bench.ahead = 60.0
    fault = Fault(kind="lost_reset", operation=START, count=1)
    bench.sandbox.faults.add(fault)
    await bench.send(bench.start())
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["data"]["recording_ids"] != [external.recording_id]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("reset", "command.failed.v1"), ("lost_reset", "command.succeeded.v1")],
    ids=["not executed", "executed"],
)
async def test_after_days_without_a_worker_a_start_adopts_its_own_recording_and_no_later_one(
    bench: CommandBench, fault: Any, outcome: str
) -> None:
    bench.sandbox.faults.add(Fault(kind=fault, operation=START, count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.pass_time(172_800.0)
    await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.pass_time(60.0)
    assert await bench.send(bench.start()) == Ack()
    ended = await bench.outcome()
    own = [bench.started()[0].recording_id] if fault == "lost_reset" else None
    assert (ended["type"], ended["data"].get("recording_ids")) == (outcome, own)
    if own is None:
        assert ended["data"]["last_error"]["code"] == "start_unconfirmed"


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("moments", [2.0, 3.0, 4.9])
async def test_a_recording_that_began_moments_before_a_lost_request_is_not_adopted(
    bench: CommandBench, moments: float, ahead: float
) -> None:
    bench.ahead = ahead
    external = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.pass_time(moments)
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.pass_time(31.0)
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 2
    assert (await bench.outcome())["data"]["recording_ids"] != [external.recording_id]


@pytest.mark.parametrize("ahead", [-3600.0, -4.0, 0.0, 4.0, 3600.0])
@pytest.mark.parametrize("command_type", ["start_track_recording", "start_recording"])
async def test_our_recording_is_found_even_if_our_clock_differs_from_that_of_the_api(
    bench: CommandBench, command_type: str, ahead: float
) -> None:
    bench.ahead = ahead
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=command_type, count=1))
    assert isinstance(await bench.send(bench.start(type=command_type)), Retry)
    bench.pass_time(31.0)
    assert await bench.send(bench.start(type=command_type)) == Ack()
    assert len(bench.started()) == 1


EXPECTED = StartRequest(
    kind="composite", app_id="app", meeting_id="", prefix="weekly", allow_multiple=True
)
OTHER_RECORDINGS = {
    "another kind": replace(EXPECTED, kind="track"),
    "another prefix": replace(EXPECTED, prefix="daily"),
    "a prefix that only begins alike": replace(EXPECTED, prefix="week"),
    "a participant's": replace(EXPECTED, caller="USER"),
    "the meeting's own": replace(EXPECTED, reason="RECORD_ON_START"),
}


@pytest.mark.parametrize("difference", OTHER_RECORDINGS)
async def test_a_recording_that_is_listed_with_other_properties_is_not_adopted(
    bench: CommandBench, difference: str
) -> None:
    bench.sandbox.behaviour.change({"list_reasons": True})
    command = bench.start(
        type="start_recording", file_name_prefix="weekly", allow_multiple_recordings=True
    )
    bench.sandbox.faults.add(Fault(kind="reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    request = replace(OTHER_RECORDINGS[difference], meeting_id=bench.meeting)
    bench.sandbox.recordings.start(request)
    bench.pass_time(31.0)
    assert await bench.send(command) == Ack()
    (_, own) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [own.recording_id]


@pytest.mark.parametrize("prefix", ["Weekly Sync 7", "über_uns", "a-b_c"])
async def test_a_recording_whose_prefix_the_api_rewrote_is_adopted(
    bench: CommandBench, prefix: str
) -> None:
    command = bench.start(type="start_recording", file_name_prefix=prefix)
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    (listed,) = bench.sandbox.recordings.index.of_meeting(bench.meeting)
    listed.output_file_name = listed.output_file_name.replace(" ", "_").replace("-", "_").lower()
    bench.pass_time(31.0)
    assert await bench.send(command) == Ack()
    assert len(bench.started()) == 1


async def test_a_lagging_list_does_not_cause_a_second_start(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"list_lag_seconds": 10.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_the_copy_of_a_start_says_since_when_it_may_have_called(bench: CommandBench) -> None:
    """Otherwise a failover that loses the claim would lead to a second call."""
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    before = bench.store.now()
    lost = await bench.send(bench.start())
    after = bench.store.now()
    bench.ahead = 6.0
    unconfirmed = await bench.send(bench.start())
    for copy in (lost, unconfirmed):
        assert isinstance(copy, Retry)
        assert copy.called_at is not None
        assert before <= copy.called_at <= after


async def test_a_start_that_never_reached_the_api_is_sent_again_after_the_settle_time(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    assert isinstance(await bench.send(bench.start()), Retry), "it may still be under way"
    bench.ahead = 31.0
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_the_recording_of_a_call_executed_after_our_timeout_is_adopted(
    bench: CommandBench,
) -> None:
    fault = Fault(kind="late", operation=START, count=1, seconds=4)
    bench.sandbox.faults.add(fault)
    assert isinstance(await bench.send_with_short_timeout(bench.start()), Retry)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert bench.started() == []
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_after_a_crash_between_call_and_commit_the_recording_is_adopted(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=START, count=1))
    killed = asyncio.create_task(bench.send(bench.start()))
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    killed.cancel()
    await asyncio.wait([killed])
    bench.handler = bench.new_handler()
    assert isinstance(await bench.send(bench.start()), Retry), (
        "the lease of the dead process still runs"
    )
    bench.ahead = 61.0
    bench.handler = bench.new_handler()
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


async def test_a_conflict_with_our_own_lost_start_is_rejected_and_starts_no_other(
    bench: CommandBench,
) -> None:
    command = bench.start(type="start_recording")
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    bench.sandbox.behaviour.change({"list_lag_seconds": 100.0})
    await bench.send(command)
    bench.ahead = 31.0  # 31 s later the API still does not list it
    assert (await bench.send(command)) == Ack()
    assert (await bench.outcome())["data"]["code"] == "already_recording"
    assert len(bench.started()) == 1
