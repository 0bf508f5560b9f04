"""Two bodies with one command id: the second is not executed, and gets the outcome of the first.

Each state in which a first body waits for its outcome meets every kind of second body.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.integration.command_bench import START, CommandBench, open_command_bench, text_properties
from worker.broker.message_copy import rfc3339
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.domain.errors import Throttled
from worker.store.parking import LiveSessions

Command = dict[str, Any]
STORAGE = {"type": "aws", "bucket": "b", "region": "r", "access_key": "AKIA", "secret": "hush!"}
OTHER_MEETING = "0c8f1f6f-6a51-4f0a-9d5e-2f1b7c3e9b01"
LEASE_SECONDS = 61
HOUR = 3600


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.meetings.create(opened.meeting, participants=2)
        yield opened


def person(bench: CommandBench) -> str:
    return next(iter(bench.sandbox.meetings.get(bench.meeting).participants))


def first(bench: CommandBench, **more: Any) -> Command:
    """A start for one person."""
    return bench.start(user_ids=[person(bench)], **more)


def second_bodies(bench: CommandBench) -> dict[str, Command]:
    """Other commands with the first one's id."""
    stop = {"type": "stop_recording", "id": "start-1"}
    return {
        "records everybody": bench.start(),
        "records another meeting": bench.start() | {"meeting_id": OTHER_MEETING},
        "records a mix": bench.start() | {"type": "start_recording"},
        "is for another app": first(bench, app="eu"),
        "has passed its deadline": bench.start(deadline="2020-01-01T00:00:00Z"),
        "stops the meeting": stop | {"meeting_id": bench.meeting},
        "stops the start itself": stop | {"start_id": "start-1"},
        "stops another start": stop | {"start_id": "another"},
        "pauses": {"type": "pause_recording", "id": "start-1", "meeting_id": bench.meeting},
        "replays": {"type": "replay_recording", "id": "start-1", "start_id": "start-1"},
        "is no command": bench.start(user_idz=["misspelt"]),
    }


# How the first body waits: each returns a function that lets it continue.

Continue = Callable[[], Awaitable[Settlement]]


async def certainly_not_executed(bench: CommandBench) -> Continue:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503, count=2))
    assert isinstance(await bench.send(first(bench)), Retry)
    return lambda: bench.send(first(bench))


async def executed_with_a_lost_answer(bench: CommandBench) -> Continue:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=2))
    assert isinstance(await bench.send(first(bench)), Retry)
    return lambda: bench.send(first(bench))


async def in_progress_on_another_replica(bench: CommandBench) -> Continue:
    task = await calling(bench)

    async def answer() -> Settlement:
        return await task

    return answer


async def interrupted_by_the_end_of_its_process(bench: CommandBench) -> Continue:
    task = await calling(bench)
    task.cancel()
    await asyncio.wait([task])
    bench.pass_time(LEASE_SECONDS)
    return lambda: bench.send(first(bench))


async def parked_until_its_session_begins(bench: CommandBench) -> Continue:
    new_meeting_without_session(bench)
    assert await bench.send(first(bench, wait_for_session=True)) == Ack()

    async def begin() -> Settlement:
        await session_begins(bench)
        return (await bench.unpark())[0]

    return begin


async def parked_with_secrets_when_its_session_begins(bench: CommandBench) -> Continue:
    new_meeting_without_session(bench)
    command = bench.start(wait_for_session=True, storage_config=STORAGE, type="start_recording")
    assert isinstance(await bench.send(command), Retry)
    await session_begins(bench)
    return lambda: bench.send(command)


WAYS = {
    way.__name__: way
    for way in (
        certainly_not_executed,
        executed_with_a_lost_answer,
        in_progress_on_another_replica,
        interrupted_by_the_end_of_its_process,
        parked_until_its_session_begins,
        parked_with_secrets_when_its_session_begins,
    )
}


def new_meeting_without_session(bench: CommandBench) -> None:
    bench.meeting = str(uuid.uuid4())
    bench.sandbox.meetings.create(bench.meeting, participants=2, live=False)


async def calling(bench: CommandBench, start_id: str = "start-1") -> asyncio.Task[Settlement]:
    """Another replica, which waits for the answer to the start."""
    bench.sandbox.faults.add(Fault(kind="slow", operation=START, seconds=3, count=1))
    command = first(bench) | {"id": start_id}
    delivery = Delivery(body=msgspec.json.encode(command), routing_key=START)
    task = asyncio.create_task(bench.new_handler().handle(delivery))
    await eventually(lambda: bool(bench.started()), seconds=30)
    return task


async def session_begins(bench: CommandBench) -> None:
    bench.sandbox.meetings.join(bench.meeting, person(bench))
    await bench.store.make_starts_due(LiveSessions(app="default", meeting_ids={bench.meeting}))


@pytest.mark.parametrize("way", WAYS)
async def test_no_second_body_is_executed_and_each_gets_the_first_ones_outcome(
    bench: CommandBench, way: str
) -> None:
    go_on = await WAYS[way](bench)
    requests = len(bench.sandbox.request_log.requests)
    settlements = await send_each(bench)
    assert not [name for name, settlement in settlements.items() if isinstance(settlement, Dead)]
    assert await bench.outcomes() == []
    assert len(bench.sandbox.request_log.requests) == requests
    assert await go_on() == Ack()
    assert len(bench.started()) == 1
    settlements = await send_each(bench)
    assert isinstance(settlements.pop("is no command"), Dead)
    assert set(settlements.values()) == {Ack()}
    assert {outcome["type"] for outcome in await bench.outcomes()} == {"command.succeeded.v1"}
    assert len(bench.started()) == 1


async def send_each(bench: CommandBench) -> dict[str, Settlement]:
    return {
        name: await bench.send(body, **text_properties("answers", name))
        for name, body in second_bodies(bench).items()
    }


async def test_a_second_body_that_is_too_large_to_read_waits_nowhere(bench: CommandBench) -> None:
    go_on = await certainly_not_executed(bench)
    large = {"unread_bytes": 20_000, "message_id": "start-1"}
    assert isinstance(await bench.send_raw(b"", **large), Dead)
    assert await bench.outcomes() == []
    assert await go_on() == Ack()
    assert len(bench.started()) == 1


# The first body is never claimed


async def while_another_start_of_its_meeting_runs(bench: CommandBench) -> Continue:
    other = await calling(bench, "another-start")
    settlement = await bench.send(first(bench))
    assert isinstance(settlement, Retry)
    assert settlement.code == "busy"

    async def go_on() -> Settlement:
        await other
        stop = {"type": "stop_recording", "id": "stop", "start_id": "another-start"}
        bench.pass_time(10)
        assert await bench.send(stop) == Ack()
        return await bench.send(first(bench))

    return go_on


async def while_the_api_is_unavailable(bench: CommandBench) -> Continue:
    bench.breaker.record(Throttled("throttled", "a pause", retry_after=1000.0))
    bench.breaker.stop_waiting()
    settlement = await bench.send(first(bench))
    assert isinstance(settlement, Retry)
    assert settlement.code == "api_circuit_open"

    async def go_on() -> Settlement:
        bench.breaker.record(None)
        return await bench.send(first(bench))

    return go_on


@pytest.mark.parametrize(
    "way", [while_another_start_of_its_meeting_runs, while_the_api_is_unavailable]
)
async def test_the_first_body_has_the_id_also_before_it_is_attempted(
    bench: CommandBench, way: Callable[[CommandBench], Awaitable[Continue]]
) -> None:
    go_on = await way(bench)
    requests = len(bench.sandbox.request_log.requests)
    settlements = await send_each(bench)
    assert {getattr(settlement, "code", "") for settlement in settlements.values()} == {"id_in_use"}
    assert await bench.outcomes() == []
    assert len(bench.sandbox.request_log.requests) == requests
    assert await go_on() == Ack()
    (outcome,) = await bench.outcomes()
    assert (outcome["type"], bench.started()[-1].user_ids) == (
        "command.succeeded.v1",
        (person(bench),),
    )


@pytest.mark.parametrize("by", ["start_id", "meeting_id"])
async def test_a_stop_cancels_a_start_that_was_not_attempted(bench: CommandBench, by: str) -> None:
    go_on = await while_the_api_is_unavailable(bench)
    bench.breaker.record(None)
    stop = {"type": "stop_recording", "id": "stop"}
    await bench.send(stop | {by: "start-1" if by == "start_id" else bench.meeting})
    assert isinstance(await bench.send(bench.start()), Retry)
    first_seen = {"x-first-seen": rfc3339(bench.store.now() - 5)}
    assert await bench.send(first(bench), headers=first_seen) == Ack()
    assert (await bench.outcome())["data"]["code"] == "cancelled"
    assert await bench.send(bench.start()) == Ack()
    assert bench.started() == []
    del go_on


async def test_a_first_body_that_was_never_attempted_may_be_lost(bench: CommandBench) -> None:
    await while_the_api_is_unavailable(bench)
    bench.pass_time(HOUR + LEASE_SECONDS)
    assert isinstance(await bench.send(bench.start()), Retry)
    data = (await bench.outcome())["data"]
    assert (data["command_type"], data["attempts"]) == (START, 0)
    assert data["last_error"]["code"] == "too_old"


async def test_a_stop_does_not_wait_longer_for_a_start_that_is_lost(bench: CommandBench) -> None:
    await while_the_api_is_unavailable(bench)
    bench.breaker.record(None)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    await bench.send(stop | {"deadline": "2999-01-01T00:00:00Z"})
    assert await bench.take_due() == []
    bench.pass_time(HOUR + LEASE_SECONDS)
    await bench.send(bench.start())
    assert (await bench.outcome())["data"]["code"] == "cancelled"
    assert await bench.unpark() == [Ack()]
    assert (await bench.outcome("stop"))["type"] != "command.expired.v1"


async def test_an_outage_does_not_delay_the_answer_to_a_repeat(bench: CommandBench) -> None:
    await bench.send(first(bench))
    bench.breaker.record(Throttled("throttled", "a pause", retry_after=1000.0))
    bench.breaker.stop_waiting()
    assert await bench.send(first(bench)) == Ack()
    assert len(await bench.outcomes()) == 2


# What publishers and operators see


async def test_a_reply_to_a_second_body_has_the_header_of_a_conflict(bench: CommandBench) -> None:
    for name, command in (
        ("first", first(bench)),
        ("repeat", first(bench)),
        ("second", bench.start()),
    ):
        await bench.send(command, **text_properties("answers", name))
    replies = [event for event in await bench.store.unsent(99) if event.exchange == "reply"]
    marked = {event.correlation_id: event.headers.get("x-id-conflict") for event in replies}
    assert marked == {"first": None, "repeat": None, "second": "true"}
    assert len({(event.event_id, event.body) for event in replies}) == 1


async def test_a_second_body_is_counted_once_over_all_its_deliveries(
    bench: CommandBench,
) -> None:
    await certainly_not_executed(bench)
    for attempts in range(3):
        await bench.send(bench.start(), headers={"x-attempts": attempts})
    await bench.send({"type": "stop_recording", "id": "start-1", "start_id": "start-1"})
    count = bench.registry.get_sample_value
    name = "recording_worker_command_id_conflicts_total"
    assert count(name, {"type": START}) == 1
    assert count(name, {"type": "stop_recording"}) == 1


# The first body's message is lost


async def test_past_its_age_a_second_body_ends_the_command_whose_message_is_lost(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503, count=2))
    await bench.send(first(bench, metadata={"case": "1"}), **text_properties("answers", "first"))
    bench.pass_time(HOUR)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.outcomes() == []
    bench.pass_time(LEASE_SECONDS)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.send(bench.start(), **text_properties("answers", "second")) == Ack()
    (outcome, *repeats) = await bench.outcomes()
    assert {repeat["id"] for repeat in repeats} == {outcome["id"]}
    assert outcome["type"] == "command.failed.v1"
    data = outcome["data"]
    assert (data["attempts"], data["last_error"]["code"]) == (1, "server_error")
    assert data["metadata"] == {"case": "1"}
    replies = [event for event in await bench.store.unsent(99) if event.exchange == "reply"]
    assert [event.correlation_id for event in replies] == ["first", "second"]
    assert await bench.send(first(bench)) == Ack()
    assert bench.started() == []


async def test_a_lost_command_of_a_process_that_died_ends_too(bench: CommandBench) -> None:
    await interrupted_by_the_end_of_its_process(bench)
    bench.pass_time(HOUR)
    await bench.send(bench.start())
    last_error = (await bench.outcome())["data"]["last_error"]
    assert last_error["code"] == "start_unconfirmed"
    assert "did not return in time" in last_error["message"]


@pytest.mark.parametrize("has_secrets", [False, True])
async def test_the_age_of_a_parked_command_does_not_grow_until_its_session_begins(
    bench: CommandBench, has_secrets: bool
) -> None:
    if has_secrets:
        await parked_with_secrets_when_its_session_begins(bench)
    else:
        await parked_until_its_session_begins(bench)
        await bench.send(bench.start())
        bench.pass_time(10 * HOUR)
        await session_begins(bench)
        await bench.take_due()
    for seconds in (0, HOUR):
        bench.pass_time(seconds)
        settlement = await bench.send(bench.start())
        assert isinstance(settlement, Retry)
        assert settlement.code == "id_in_use"
    assert await bench.outcomes() == []
    bench.pass_time(LEASE_SECONDS)
    await bench.send(bench.start())
    assert (await bench.outcome())["data"]["last_error"]["code"] == "no_session"
    assert await bench.parked() == 0


async def test_a_second_body_does_not_wake_a_start_with_secrets_before_its_session(
    bench: CommandBench,
) -> None:
    new_meeting_without_session(bench)
    command = bench.start(wait_for_session=True, storage_config=STORAGE, type="start_recording")
    await bench.send(command)
    requests = len(bench.sandbox.request_log.requests)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert isinstance(await bench.send(command), Retry)
    assert (await bench.parked(), len(bench.sandbox.request_log.requests)) == (1, requests)


async def test_the_first_body_is_executed_also_after_a_second_one_has_woken_it(
    bench: CommandBench,
) -> None:
    go_on = await parked_with_secrets_when_its_session_begins(bench)
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.sandbox.meetings.end_session(bench.meeting)
    assert isinstance(await go_on(), Retry)
    assert await bench.parked() == 1
    await session_begins(bench)
    assert await go_on() == Ack()
    assert len(bench.started()) == 1
