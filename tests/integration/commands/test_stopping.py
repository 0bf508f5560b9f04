"""The effect of a stop on starts that run, that may have been executed, and that have not begun."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import Eventually
from tests.integration.command_bench import START, CommandBench, open_command_bench
from tests.integration.tracking_bench import TrackingBench
from worker.broker.messages import Ack, Delivery, Retry

COMPOSITE = "start_recording"
TIMES_OF_A_STUCK_START = range(6, 60, 6)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.behaviour.change({"invoked_seconds": 0.0})
        yield opened


def by_start(**more: Any) -> dict[str, Any]:
    return {"type": "stop_recording", "id": "stop", "start_id": "start-1", **more}


def by_meeting(bench: CommandBench, **more: Any) -> dict[str, Any]:
    return {"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting, **more}


async def data_of(bench: CommandBench, command_id: str) -> dict[str, Any]:
    data: dict[str, Any] = (await bench.outcomes(command_id))[0]["data"]
    return data


async def is_cancelled(bench: CommandBench, command_id: str = "start-1") -> bool:
    outcomes = await bench.outcomes(command_id)
    return bool(outcomes) and outcomes[0]["data"].get("code") == "cancelled"


def statuses(bench: CommandBench) -> list[str]:
    return [recording.status for recording in bench.sandbox.recordings.index.all()]


def refuse_starts(bench: CommandBench, status: int, operation: str = START) -> None:
    """The API refuses the starts with errors that exclude their execution."""
    bench.sandbox.faults.add(Fault(kind="refuse", operation=operation, status=status))


def lose_starts(bench: CommandBench, operation: str = START) -> None:
    """The API answers 500 to starts for ever: each may have been executed."""
    refuse_starts(bench, 500, operation)


# By start_id


@pytest.mark.parametrize("status", [401, 429])
async def test_a_stop_ends_a_start_that_waits_for_its_next_attempt_at_once(
    bench: CommandBench, status: int
) -> None:
    refuse_starts(bench, status)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.send(by_start()) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == []
    assert await is_cancelled(bench)
    bench.sandbox.faults.clear()
    bench.ahead = 700.0
    bench.handler = bench.new_handler()
    assert await bench.send(bench.start()) == Ack()
    assert bench.started() == []


async def test_the_outcome_of_a_start_that_a_stop_ended_goes_to_its_reply_queue(
    bench: CommandBench,
) -> None:
    refuse_starts(bench, 401)
    await bench.send(bench.start(), reply_to="mine", correlation_id="order-7")
    await bench.send(by_start(), reply_to="theirs")
    events = await bench.store.unsent(100)
    outcomes = {
        event.routing_key: event.correlation_id for event in events if event.subject == "start-1"
    }
    assert outcomes == {"start_track_recording.rejected": "order-7", "mine": "order-7"}


async def test_a_stop_that_arrives_before_its_start_cancels_it(bench: CommandBench) -> None:
    assert await bench.send(by_start()) == Ack()
    assert await bench.unpark() == []
    bench.handler = bench.new_handler()
    assert await bench.send(bench.start()) == Ack()
    assert await is_cancelled(bench)
    assert await bench.unpark() == [Ack()]
    assert (await data_of(bench, "stop"))["recording_ids"] == []
    assert bench.started() == []


async def test_a_stop_does_not_wait_on_when_its_start_turns_out_to_be_malformed(
    bench: CommandBench,
) -> None:
    await bench.send(by_start())
    assert await bench.unpark() == []
    await bench.send(bench.start(user_ids=[]))
    assert (await data_of(bench, "start-1"))["code"] == "invalid_field"
    assert await bench.unpark() == [Ack()]
    assert await data_of(bench, "stop")


async def test_a_start_that_arrives_after_its_stop_has_failed_is_cancelled(
    bench: CommandBench,
) -> None:
    await bench.send(by_start())
    bench.ahead = 301.0
    await bench.unpark()
    assert (await data_of(bench, "stop"))["last_error"]["code"] == "start_unknown"
    bench.handler = bench.new_handler()
    await bench.send(bench.start())
    assert await is_cancelled(bench)
    assert bench.started() == []


async def test_a_stop_that_expired_before_it_was_executed_cancels_nothing(
    bench: CommandBench,
) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    await bench.send(by_start(deadline=past))
    await bench.send(by_meeting(bench, id="stop-2", deadline=past))
    await bench.send(bench.start())
    assert len(bench.started()) == 1


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_pause_or_resume_cancels_nothing(bench: CommandBench, action: str) -> None:
    command = {"type": f"{action}_recording", "id": "c", "start_id": "start-1"}
    assert isinstance(await bench.send(command), Retry)
    await bench.send(bench.start())
    assert await bench.send(command) == Ack()
    assert (await data_of(bench, "c"))["recording_ids"] == [bench.started()[0].recording_id]


async def test_a_stop_of_a_start_that_may_have_been_executed_stops_it_when_it_is_found(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    settlement = await bench.send(by_start())
    assert isinstance(settlement, Retry)
    assert settlement.code == "start_pending"
    await bench.send(bench.start())
    assert (await data_of(bench, "start-1"))["recording_ids"]
    assert await bench.send(by_start()) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == [bench.started()[0].recording_id]
    assert statuses(bench) == ["UPLOADING"]


async def test_a_start_that_is_stopped_while_it_gets_500_calls_no_more_and_is_cancelled(
    bench: CommandBench,
) -> None:
    lose_starts(bench)
    await bench.send(bench.start())
    await bench.send(by_start())
    for bench.ahead in TIMES_OF_A_STUCK_START:
        await bench.send(bench.start())
    assert await is_cancelled(bench)
    assert len(bench.requests(START)) == 1
    assert await bench.send(by_start()) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == []


async def follow(bench: CommandBench) -> None:
    """Make the reads that are due, as the leader does."""
    await TrackingBench(bench.sandbox, bench.store, bench.api).refresher.read_due()


def in_a_second(bench: CommandBench) -> str:
    return datetime.fromtimestamp(time.time() + bench.ahead + 1, UTC).isoformat()


@pytest.mark.parametrize("by", ["start", "meeting"])
async def test_a_stop_that_expired_while_its_start_was_in_doubt_still_ends_the_recording(
    bench: CommandBench, by: str
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    deadline = {"deadline": in_a_second(bench)}
    stop = by_start(**deadline) if by == "start" else by_meeting(bench, **deadline)
    bench.sandbox.behaviour.change({"list_lag_seconds": 3600.0})
    assert isinstance(await bench.send(stop), Retry)
    bench.pass_time(2.0)
    await bench.send(stop)
    assert (await bench.outcome("stop"))["type"] == "command.expired.v1"
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    bench.handler = bench.new_handler()
    await bench.send(bench.start())
    assert (await data_of(bench, "start-1"))["recording_ids"]
    await follow(bench)
    assert statuses(bench) == ["UPLOADING"]


async def test_a_start_whose_answer_arrives_after_its_stop_expired_is_stopped(
    bench: CommandBench, eventually: Eventually
) -> None:
    bench.sandbox.faults.add(Fault(kind="slow", operation=START, seconds=1.5, count=1))
    starting = asyncio.create_task(bench.send(bench.start()))
    await eventually(lambda: bench.started() != [])
    other = bench.new_handler()
    stop = msgspec.json.encode(by_start(deadline=in_a_second(bench)))
    assert isinstance(await other.handle(Delivery(body=stop, routing_key="x")), Retry)
    bench.pass_time(2.0)
    assert await other.handle(Delivery(body=stop, routing_key="x")) == Ack()
    assert await starting == Ack()
    assert (await bench.outcome("stop"))["type"] == "command.expired.v1"
    await follow(bench)
    assert statuses(bench) == ["UPLOADING"]


async def test_a_stop_of_a_meeting_names_the_recording_that_was_stopped_before_its_next_attempt(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    assert isinstance(await bench.send(by_meeting(bench)), Retry)
    await bench.send(bench.start())
    await follow(bench)
    bench.pass_time(20.0)
    await follow(bench)
    assert statuses(bench) == ["UPLOADED"]
    assert await bench.send(by_meeting(bench)) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == [bench.started()[0].recording_id]


async def test_two_stops_of_one_cancelled_start_both_succeed(bench: CommandBench) -> None:
    refuse_starts(bench, 401)
    await bench.send(bench.start())
    for number in range(2):
        await bench.send(by_start(id=f"stop-{number}"))
        assert (await data_of(bench, f"stop-{number}"))["recording_ids"] == []


async def test_a_stop_that_names_itself_or_another_stop_cancels_no_command(
    bench: CommandBench,
) -> None:
    await bench.send(by_start(start_id="stop"))
    await bench.send(by_start(id="stop-2", start_id="stop"))
    assert await bench.unpark() == []
    bench.ahead = 301.0
    await bench.unpark()
    await bench.send(by_start(id="stop-2", start_id="stop"))
    for command_id in ("stop", "stop-2"):
        assert (await bench.outcome(command_id))["type"] != "command.succeeded.v1"


async def test_a_stop_of_a_start_that_the_api_refused_says_that_it_failed(
    bench: CommandBench,
) -> None:
    refuse_starts(bench, 400)
    await bench.send(bench.start())
    await bench.send(by_start())
    assert (await data_of(bench, "stop"))["code"] == "start_failed"


# By meeting_id


async def test_a_stop_of_a_meeting_stops_live_recordings_despite_a_stuck_start(
    bench: CommandBench,
) -> None:
    await bench.send({**bench.start("mix"), "type": COMPOSITE})
    lose_starts(bench)
    await bench.send(bench.start())
    assert isinstance(await bench.send(by_meeting(bench)), Retry)
    assert statuses(bench) == ["UPLOADING"]
    events = await bench.store.unsent(100)
    keys = [event.routing_key for event in events if event.exchange == "status"]
    # What the list shows before the stop, and the answer to the stop, are published at once.
    assert keys == ["composite.invoked", "composite.recording", "composite.uploading"]
    bench.sandbox.clock.advance(20.0)  # and uploaded: the list of live recordings no longer has it
    for bench.ahead in TIMES_OF_A_STUCK_START:
        await bench.send(bench.start())
    assert await is_cancelled(bench)
    assert await bench.send(by_meeting(bench)) == Ack()
    mix = bench.started()[0].recording_id
    assert (await data_of(bench, "stop"))["recording_ids"] == [mix]


async def test_a_stop_of_a_meeting_ends_its_starts_that_wait_and_leaves_those_of_others(
    bench: CommandBench,
) -> None:
    refuse_starts(bench, 401)
    await bench.send(bench.start())
    elsewhere = bench.start("elsewhere", meeting_id=str(uuid.uuid4()))
    await bench.send(elsewhere)
    assert await bench.send(by_meeting(bench)) == Ack()
    assert await is_cancelled(bench)
    bench.sandbox.faults.clear()
    assert await bench.send(elsewhere) == Ack()
    assert len(bench.started()) == 1


async def test_a_stop_of_one_kind_neither_ends_nor_waits_for_a_start_of_the_other(
    bench: CommandBench,
) -> None:
    lose_starts(bench)
    await bench.send(bench.start())
    assert await bench.send(by_meeting(bench, kind="composite")) == Ack()
    bench.sandbox.faults.clear()
    bench.ahead = 31.0
    await bench.send(bench.start())
    assert len(bench.started()) == 1


async def test_a_start_that_arrives_after_a_stop_of_its_meeting_is_executed(
    bench: CommandBench,
) -> None:
    await bench.send(by_meeting(bench))
    await bench.send(bench.start())
    assert len(bench.started()) == 1


async def test_a_start_that_arrives_while_a_stop_of_its_meeting_waits_is_not_cancelled(
    bench: CommandBench,
) -> None:
    lose_starts(bench, COMPOSITE)
    await bench.send({**bench.start("stuck"), "type": COMPOSITE})
    await bench.send(by_meeting(bench))
    bench.ahead = 1.0
    await bench.send(bench.start("later"))
    await bench.send(by_meeting(bench))
    assert not await is_cancelled(bench, "later")


@pytest.mark.parametrize("kind", ["track", None])
async def test_a_start_that_waited_for_its_slot_when_its_meeting_was_stopped_is_cancelled(
    bench: CommandBench, kind: str | None
) -> None:
    lose_starts(bench)
    await bench.send(bench.start("stuck"))
    before = datetime.now(UTC).isoformat()
    assert isinstance(await bench.send(bench.start()), Retry), "the other start has the slot"
    await bench.send(by_meeting(bench, **({"kind": kind} if kind else {})))
    bench.handler = bench.new_handler()
    assert await bench.send(bench.start(), headers={"x-first-seen": before}) == Ack()
    assert await is_cancelled(bench)


async def test_a_start_that_waited_for_the_api_when_its_meeting_was_stopped_is_cancelled(
    bench: CommandBench,
) -> None:
    before = datetime.now(UTC).isoformat()
    await bench.send(by_meeting(bench))
    await bench.send(bench.start(), headers={"x-first-seen": before})
    assert await is_cancelled(bench)


async def test_a_stop_of_a_meeting_stops_recordings_that_the_list_does_not_show_yet(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"list_lag_seconds": 3600.0})
    await bench.send(bench.start())
    assert await bench.send(by_meeting(bench)) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == [bench.started()[0].recording_id]
    assert statuses(bench) == ["UPLOADING"]


async def test_a_stop_of_a_meeting_stops_the_known_recordings_while_the_list_fails(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    fault = Fault(kind="refuse", operation="list_recordings", status=500)
    bench.sandbox.faults.add(fault)
    assert isinstance(await bench.send(by_meeting(bench)), Retry)
    assert statuses(bench) == ["UPLOADING"]


async def test_a_stop_of_a_meeting_that_the_list_denies_names_the_stopped_recordings(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", status=404))
    await bench.send(by_meeting(bench, id="too-early"))
    assert (await data_of(bench, "too-early"))["code"] == "not_found"
    await bench.send(bench.start())
    assert await bench.send(by_meeting(bench)) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == [bench.started()[0].recording_id]


async def test_a_recording_that_is_gone_does_not_fail_the_stop_of_its_meeting(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("gone"))
    bench.sandbox.recordings.vanish(bench.sandbox.recordings.index.number(0))
    bench.pass_time(30)  # before that, the API may merely not find it yet
    await bench.send(bench.start())
    assert await bench.send(by_meeting(bench)) == Ack()
    assert (await data_of(bench, "stop"))["recording_ids"] == [bench.started()[1].recording_id]


@pytest.mark.parametrize("status", [400, 500])
async def test_a_recording_whose_stop_fails_keeps_no_other_running(
    bench: CommandBench, status: int
) -> None:
    for number in range(3):
        await bench.send(bench.start(f"start-{number}"))
    refusing, *others = (recording.recording_id for recording in bench.started())
    fault = Fault(kind="refuse", operation="change_recording", status=status, recording_id=refusing)
    bench.sandbox.faults.add(fault)
    await bench.send(by_meeting(bench))
    assert statuses(bench) == ["RECORDING", "UPLOADING", "UPLOADING"]
    assert others


async def test_a_pause_of_a_meeting_acts_at_once_and_names_all_that_it_paused(
    bench: CommandBench,
) -> None:
    await bench.send({**bench.start("mix"), "type": COMPOSITE})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    pause = by_meeting(bench, type="pause_recording", id="pause")
    assert isinstance(await bench.send(pause), Retry)
    assert statuses(bench)[0] == "PAUSED"
    bench.sandbox.recordings.stop(bench.sandbox.recordings.index.number(0))
    await bench.send(bench.start())
    assert await bench.send(pause) == Ack()
    paused = (await data_of(bench, "pause"))["recording_ids"]
    assert sorted(paused) == sorted(recording.recording_id for recording in bench.started())
