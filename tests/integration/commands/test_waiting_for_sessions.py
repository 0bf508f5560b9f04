"""A start with `wait_for_session` is kept until its meeting's session begins."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import CommandBench, open_command_bench, text_properties
from worker.broker.message_copy import rfc3339
from worker.broker.messages import Ack, Retry
from worker.store.parking import LiveSessions

DAY = 86_400.0
ASK = "active_session"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.meetings.create(opened.meeting, participants=2, live=False)
        yield opened


def waiting(bench: CommandBench, command_id: str = "start-1", **more: Any) -> dict[str, Any]:
    return bench.start(command_id, wait_for_session=True, **more)


def composite(bench: CommandBench, command_id: str = "start-1", **more: Any) -> dict[str, Any]:
    return waiting(bench, command_id, **more) | {"type": "start_recording"}


def begin(bench: CommandBench) -> None:
    """The meeting's session begins, without a webhook."""
    person = next(iter(bench.sandbox.meetings.get(bench.meeting).participants))
    bench.sandbox.meetings.join(bench.meeting, person)


async def report(bench: CommandBench) -> int:
    """A webhook reports that the session began."""
    return await bench.store.make_starts_due(
        LiveSessions(app="default", meeting_ids={bench.meeting})
    )


async def code_of(bench: CommandBench, command_id: str = "start-1") -> str:
    data = (await bench.outcome(command_id))["data"]
    return str(data.get("code") or (data.get("last_error") or {}).get("code"))


@pytest.mark.parametrize("command", [waiting, composite])
async def test_a_waiting_start_is_acknowledged_and_executed_when_its_session_begins(
    bench: CommandBench, command: Any
) -> None:
    assert await bench.send(command(bench)) == Ack()
    assert (await bench.parked(), bench.started(), await bench.outcomes()) == (1, [], [])
    begin(bench)
    assert await report(bench) == 1
    assert await bench.unpark() == [Ack()]
    assert (await bench.outcome())["routing_key"].endswith(".succeeded")
    assert (len(bench.started()), await bench.parked()) == (1, 0)


async def test_a_start_that_may_wait_costs_one_request_more_if_its_session_has_begun(
    bench: CommandBench,
) -> None:
    begin(bench)
    assert await bench.send(waiting(bench)) == Ack()
    assert len(bench.started()) == 1
    assert len(bench.requests(ASK)) == 1


async def test_a_start_that_does_not_wait_asks_for_no_session(bench: CommandBench) -> None:
    await bench.send(bench.start(wait_for_session=False))
    await bench.send(bench.start("start-2"))
    assert bench.requests(ASK) == []
    assert await code_of(bench) == "bad_request"


async def test_the_time_of_a_start_in_the_store_does_not_count_for_its_age(
    bench: CommandBench,
) -> None:
    await bench.send(waiting(bench))
    bench.pass_time(7 * 3600)
    begin(bench)
    await report(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503, count=2))
    (delivery,) = await bench.take_due()
    assert isinstance(await bench.handler.handle(delivery), Retry)
    bench.pass_time(3500)
    assert await bench.handler.handle(delivery) == Ack()
    assert len(bench.started()) == 1


async def test_the_age_of_a_start_counts_again_once_its_session_has_begun(
    bench: CommandBench,
) -> None:
    await bench.send(waiting(bench))
    begin(bench)
    await report(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    (delivery,) = await bench.take_due()
    await bench.handler.handle(delivery)
    bench.pass_time(3601)
    assert await bench.handler.handle(delivery) == Ack()
    assert (await code_of(bench)).startswith("server_error")


async def test_a_waiting_start_expires_at_its_deadline(bench: CommandBench) -> None:
    await bench.send(waiting(bench, deadline="2999-01-01T00:00:00Z"))
    soon = bench.store.now() + 600
    await bench.send(waiting(bench, "start-2", deadline=rfc3339(soon)))
    assert await bench.take_due() == []
    bench.pass_time(601)
    assert await bench.unpark() == [Ack()]
    assert (await bench.outcome("start-2"))["routing_key"].endswith(".expired")
    assert await bench.outcomes() == []


async def test_a_waiting_start_fails_when_it_has_waited_long_enough(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    bench.pass_time(DAY + 1)
    assert await bench.unpark() == [Ack()]
    assert await code_of(bench) == "no_session"
    assert (await bench.outcome())["routing_key"].endswith(".failed")


async def test_a_waiting_start_fails_in_time_although_the_api_is_unavailable(
    bench: CommandBench,
) -> None:
    await bench.send(waiting(bench))
    bench.pass_time(DAY + 1)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    assert await bench.unpark() == [Ack()]
    assert await code_of(bench) == "no_session"


async def test_a_start_waits_again_if_its_session_ended_before_its_call(
    bench: CommandBench,
) -> None:
    await bench.send(waiting(bench))
    bench.pass_time(DAY / 2)
    await report(bench)
    assert await bench.unpark() == [Ack()]
    assert await bench.parked() == 1
    bench.pass_time(DAY / 2 + 1)
    assert await bench.unpark() == [Ack()]
    assert await code_of(bench) == "no_session"


async def test_a_start_waits_again_if_its_session_ends_during_the_call(bench: CommandBench) -> None:
    begin(bench)
    refusal = Fault(
        kind="refuse", operation="start_track_recording", status=400, envelope="realtimekit"
    )
    bench.sandbox.faults.add(refusal)
    await bench.send(waiting(bench, "refused"))
    assert await code_of(bench, "refused") == "bad_request"
    bench.sandbox.faults.add(Fault(kind="refuse", operation=ASK, status=404, skip=1))
    assert await bench.send(waiting(bench)) == Ack()
    assert await bench.parked() == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refusal_between_two_sessions_does_not_end_a_start_that_may_wait(
    bench: CommandBench, status: int
) -> None:
    begin(bench)
    bench.sandbox.faults.add(
        Fault(kind="refuse", operation="start*", status=status, envelope="realtimekit", count=1)
    )
    assert await bench.send(waiting(bench)) == Ack()
    assert (await bench.outcome())["routing_key"].endswith(".succeeded")
    assert len(bench.started()) == 1


# Stops, pauses and other starts


def stop(**more: Any) -> dict[str, Any]:
    return {"type": "stop_recording", "id": "stop", **more}


@pytest.mark.parametrize("by", ["start_id", "meeting_id"])
@pytest.mark.parametrize("hours", [0, 20])
async def test_a_stop_cancels_a_waiting_start(bench: CommandBench, by: str, hours: int) -> None:
    await bench.send(waiting(bench), **text_properties("answers", "mine"))
    bench.pass_time(hours * 3600)
    await bench.send(stop(**{by: "start-1" if by == "start_id" else bench.meeting}))
    assert (await bench.outcome("stop"))["routing_key"].endswith(".succeeded")
    assert await code_of(bench) == "cancelled"
    assert await bench.parked() == 0
    replies = [event for event in await bench.store.unsent(99) if event.exchange == "reply"]
    assert [(event.routing_key, event.correlation_id) for event in replies] == [("answers", "mine")]
    begin(bench)
    await report(bench)
    assert await bench.unpark() == []
    assert bench.started() == []


async def test_a_stop_of_a_meeting_that_the_api_does_not_know_cancels_its_waiting_start(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", status=404))
    await bench.send(waiting(bench))
    await bench.send(stop(meeting_id=bench.meeting))
    assert await code_of(bench) == "cancelled"
    assert (await bench.outcome("stop"))["data"]["recording_ids"] == []


async def test_a_stop_during_the_attempt_of_a_waiting_start_cancels_it(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    await report(bench)
    (delivery,) = await bench.take_due()
    await bench.send(stop(start_id="start-1"))
    assert await code_of(bench) == "cancelled"
    begin(bench)
    assert await bench.handler.handle(delivery) == Ack()
    assert bench.started() == []


async def test_a_pause_by_its_id_waits_and_one_by_its_meeting_does_not(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    pause = {"type": "pause_recording", "id": "pause", "start_id": "start-1"}
    settlement = await bench.send(pause)
    assert isinstance(settlement, Retry)
    assert settlement.code == "start_pending"
    by_meeting = {"type": "pause_recording", "id": "by-meeting", "meeting_id": bench.meeting}
    assert await bench.send(by_meeting) == Ack()


async def test_a_waiting_start_does_not_delay_other_starts_of_its_meeting(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"no_session_status": 404})
    await bench.send(waiting(bench))
    await bench.send(waiting(bench, "start-2"))
    begin(bench)
    assert await bench.send(bench.start("start-3")) == Ack()
    assert (await bench.outcome("start-3"))["routing_key"].endswith(".succeeded")
    assert await report(bench) == 2
    assert await bench.unpark() == [Ack(), Ack()]
    assert len(bench.started()) == 3


async def test_another_start_does_not_take_the_slot_of_one_that_waited_long(
    bench: CommandBench,
) -> None:
    await bench.send(waiting(bench))
    bench.pass_time(DAY / 2)
    begin(bench)
    await report(bench)
    fault = Fault(kind="lost_reset", operation="start_track_recording", count=2)
    bench.sandbox.faults.add(fault)
    (delivery,) = await bench.take_due()
    assert isinstance(await bench.handler.handle(delivery), Retry)
    settlement = await bench.send(bench.start("start-2"))
    assert isinstance(settlement, Retry)
    assert settlement.code == "busy"


# Repeats


async def test_a_repeat_is_not_executed_and_gets_its_own_reply(bench: CommandBench) -> None:
    await bench.send(waiting(bench), **text_properties("answers", "first"))
    asked = len(bench.requests(ASK))
    for name in ("second", "third"):
        assert await bench.send(waiting(bench), **text_properties("answers", name)) == Ack()
    assert await bench.send(waiting(bench)) == Ack()
    assert (await bench.parked(), len(bench.requests(ASK))) == (1, asked)
    begin(bench)
    await report(bench)
    assert await bench.unpark() == [Ack(), Ack(), Ack()]
    replies = [event for event in await bench.store.unsent(99) if event.exchange == "reply"]
    assert sorted(str(event.correlation_id) for event in replies) == ["first", "second", "third"]
    assert len({event.event_id for event in replies}) == 1
    assert len(bench.started()) == 1


async def test_a_stop_answers_the_repeats_as_well(bench: CommandBench) -> None:
    for name in ("first", "second"):
        await bench.send(waiting(bench), **text_properties("answers", name))
    await bench.send(stop(start_id="start-1"))
    assert await bench.unpark() == [Ack()]
    replies = [event for event in await bench.store.unsent(99) if event.exchange == "reply"]
    assert sorted(str(event.correlation_id) for event in replies) == ["first", "second"]


async def test_a_message_that_was_published_twice_is_executed_once(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    await report(bench)
    (delivery,) = await bench.take_due()
    assert await bench.handler.handle(delivery) == Ack()
    assert await bench.parked() == 1
    assert await bench.handler.handle(delivery) == Ack()
    assert await bench.parked() == 1
    begin(bench)
    await report(bench)
    await bench.unpark()
    assert await bench.handler.handle(delivery) == Ack()
    assert len(bench.started()) == 1


async def test_a_message_is_published_before_its_parking_is_removed(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    await report(bench)
    due = await bench.store.due_commands(bench.store.now())
    (delivery,) = bench.deliveries_of(due)
    assert await bench.handler.handle(delivery) == Ack()
    await bench.store.remove_published([due[0].position])
    assert await bench.parked() == 1


async def test_too_many_repeats_wait_in_the_retry_queues(bench: CommandBench) -> None:
    await bench.send(waiting(bench))
    for number in range(100):
        await bench.send(waiting(bench), **text_properties("answers", f"c{number}"))
    settlement = await bench.send(waiting(bench), **text_properties("answers", "one more"))
    assert isinstance(settlement, Retry)


# Secrets


def with_secret(bench: CommandBench, **more: Any) -> dict[str, Any]:
    storage = {"type": "aws", "bucket": "b", "region": "r", "access_key": "AKIA", "secret": "hush!"}
    return composite(bench, storage_config=storage, **more)


async def test_the_message_of_a_start_with_secrets_stays_in_the_retry_queues(
    bench: CommandBench, tmp_path: Path
) -> None:
    settlement = await bench.send(with_secret(bench))
    assert isinstance(settlement, Retry)
    assert settlement.first_seen is not None
    assert await bench.parked() == 1
    asked = len(bench.requests(ASK))
    assert isinstance(await bench.send(with_secret(bench)), Retry)
    assert len(bench.requests(ASK)) == asked
    assert not any(b"hush!" in path.read_bytes() for path in tmp_path.glob("state.db*"))
    begin(bench)
    await report(bench)
    assert await bench.unpark() == []
    assert await bench.send(with_secret(bench)) == Ack()
    assert (await bench.outcome())["routing_key"].endswith(".succeeded")
    assert await bench.parked() == 0


async def test_a_repeat_with_secrets_is_not_kept_in_the_store(
    bench: CommandBench, tmp_path: Path
) -> None:
    await bench.send(composite(bench))
    reply = text_properties("answers", "second")
    assert isinstance(await bench.send(with_secret(bench), **reply), Retry)
    assert not any(b"hush!" in path.read_bytes() for path in tmp_path.glob("state.db*"))


async def test_a_stop_cancels_a_start_with_secrets(bench: CommandBench) -> None:
    await bench.send(with_secret(bench))
    await bench.send(stop(start_id="start-1"))
    assert await code_of(bench) == "cancelled"
    assert await bench.parked() == 0
    assert await bench.send(with_secret(bench)) == Ack()


async def test_a_start_with_secrets_expires_at_its_deadline(bench: CommandBench) -> None:
    deadline = rfc3339(bench.store.now() + 60)
    await bench.send(with_secret(bench, deadline=deadline))
    bench.pass_time(61)
    assert await bench.send(with_secret(bench, deadline=deadline)) == Ack()
    assert (await bench.outcome())["routing_key"].endswith(".expired")
    assert await bench.parked() == 0


# Stops of starts that were never sent


async def test_a_stop_waits_in_the_store_until_its_start_has_ended(bench: CommandBench) -> None:
    begin(bench)
    await bench.send(stop(start_id="start-1"), **text_properties("answers", "mine"))
    assert await bench.parked() == 1
    await bench.send(bench.start("start-2"))
    assert await bench.take_due() == []
    await bench.send(bench.start())
    assert await code_of(bench) == "cancelled"
    assert await bench.unpark() == [Ack()]
    assert (await bench.outcome("stop"))["data"]["recording_ids"] == []
    assert await bench.parked() == 0


async def test_a_waiting_start_can_be_stopped_before_it_arrives(bench: CommandBench) -> None:
    await bench.send(stop(start_id="start-1"))
    await bench.send(waiting(bench))
    assert await code_of(bench) == "cancelled"
    assert await bench.unpark() == [Ack()]
    assert bench.requests(ASK) == []
