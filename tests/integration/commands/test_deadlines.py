"""A command's deadline and greatest age."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import START, CommandBench
from worker.broker.messages import Ack, Retry
from worker.domain.errors import Throttled


async def test_a_command_past_its_deadline_expires_without_a_call(bench: CommandBench) -> None:
    deadline = datetime.now(UTC) - timedelta(seconds=1)
    assert await bench.send(bench.start(deadline=deadline.isoformat())) == Ack()
    outcome = await bench.outcome()
    assert outcome["type"] == "command.expired.v1"
    assert bench.requests("start_track_recording") == []


async def test_a_start_in_doubt_whose_deadline_passes_still_reports_its_recording(
    bench: CommandBench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(command)
    bench.ahead = 10.0
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"


async def test_a_start_whose_deadline_passes_during_the_call_still_reports_its_recording(
    bench: CommandBench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=START, count=1))
    calling = asyncio.create_task(bench.send_with_short_timeout(command))
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    bench.ahead = 21.0
    assert isinstance(await calling, Retry)
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"


async def test_a_start_in_doubt_past_its_deadline_expires_when_no_recording_is_found(
    bench: CommandBench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    await bench.send(command)
    bench.ahead = 10.0
    assert isinstance(await bench.send(command), Retry)
    bench.ahead = 40.0
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", count=2))
    assert isinstance(await bench.send(command), Retry), "the look itself failed"
    bench.ahead = 80.0
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.expired.v1"
    assert bench.started() == []


@pytest.mark.parametrize("command_type", ["start_track_recording", "stop_recording"])
async def test_a_call_is_not_repeated_after_the_deadline(
    bench: CommandBench, command_type: str
) -> None:
    """The API throttles the first attempt, and the deadline passes before the second."""
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start("first"))
    (recording,) = bench.started()
    target = {
        "start_track_recording": {"meeting_id": bench.meeting},
        "stop_recording": {"recording_id": recording.recording_id},
    }[command_type]
    operation = {"stop_recording": "change_recording"}.get(command_type, command_type)
    bench.sandbox.faults.add(
        Fault(kind="refuse", operation=operation, status=429, envelope="cloudflare", count=1)
    )
    sent_before = len(bench.requests(operation))
    deadline = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    client = bench.client(on_attempt=lambda _attempt: setattr(bench, "ahead", 21.0))
    bench.handler = bench.new_handler(client)
    command = {"type": command_type, "id": "late", "deadline": deadline, **target}
    assert await bench.send(command) == Ack()
    assert (await bench.outcome("late"))["type"] == "command.expired.v1"
    assert len(bench.requests(operation)) == sent_before + 1
    await client.aclose()


async def test_a_command_that_is_too_old_fails_with_its_last_error(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    await bench.send(bench.start())
    bench.ahead = 3601.0
    assert await bench.send(bench.start()) == Ack()
    data = (await bench.outcome())["data"]
    assert data["last_error"]["code"] == "unauthorized"
    assert data["attempts"] == 1


async def test_the_time_that_a_command_waits_during_an_outage_counts_towards_its_age(
    bench: CommandBench,
) -> None:
    bench.breaker.record(Throttled("throttled", "slow down", retry_after=7200))
    first_seen = datetime.now(UTC) - timedelta(seconds=3700)
    assert (
        await bench.send(bench.start(), headers={"x-first-seen": first_seen.isoformat()}) == Ack()
    )
    data = (await bench.outcome())["data"]
    assert data["last_error"]["code"] == "too_old"
    assert bench.requests(START) == []


async def test_a_start_that_waits_for_another_start_expires_at_its_deadline(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start("in-doubt"))
    deadline = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert isinstance(await bench.send(bench.start("waits", deadline=deadline)), Retry)
    bench.ahead = 6.0
    assert await bench.send(bench.start("waits", deadline=deadline)) == Ack()
    assert (await bench.outcome("waits"))["type"] == "command.expired.v1"
    assert await bench.send(bench.start("in-doubt")) == Ack()
    assert len(bench.started()) == 1
