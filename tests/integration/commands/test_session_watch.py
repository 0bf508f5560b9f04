"""One list of live sessions is enough for all waiting starts; without them none is read."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.altered_answers import altered_client
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.store_requests import claim_request
from worker.domain.errors import ApiError, Unavailable
from worker.realtimekit.client import RealtimeKitClient
from worker.store.outbox import Reply
from worker.store.parking import KeptMessage, LiveSessions, ParkRequest
from worker.store.store import Store
from worker.tracking.session_watch import SessionWatch

LIST = "list_sessions"
MANY = 2_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.meetings.create(opened.meeting, participants=2, live=False)
        yield opened


def watch_of(
    bench: CommandBench,
    *,
    interval: float = 10.0,
    rate: float = 1.0,
    api: RealtimeKitClient | None = None,
) -> SessionWatch:
    return SessionWatch(
        bench.store,
        api or bench.api,
        app="default",
        interval=interval,
        rate=rate,
        breaker=bench.breaker,
        now=bench.store.now,
        monotonic=lambda: bench.ahead,
    )


async def wait(bench: CommandBench, command_id: str = "start-1", **more: Any) -> None:
    await bench.send(bench.start(command_id, wait_for_session=True, **more))


def begin(bench: CommandBench, meeting: str | None = None) -> None:
    meeting = meeting or bench.meeting
    person = next(iter(bench.sandbox.meetings.get(meeting).participants))
    bench.sandbox.meetings.join(meeting, person)


async def park_many(store: Store, count: int) -> list[str]:
    """Park this many starts, each of a different meeting; returns the meetings."""
    meetings = [str(uuid.uuid4()) for _ in range(count)]
    now = store.now()
    claims = [
        claim_request(
            meeting,
            owner="test",
            now=now,
            app="default",
            slot=f"{meeting}/track",
            meeting_id=meeting,
        )
        for meeting in meetings
    ]
    await asyncio.gather(*map(store.claim, claims))
    parkings = [
        ParkRequest(
            command_id=meeting,
            owner="test",
            waits_for="session",
            app="default",
            subject=meeting,
            now=now,
            due_at=now + 86_400,
            ignore_lists_until=0.0,
            message=KeptMessage(body=b"{}", envelope="{}"),
            last_error="{}",
            reply=Reply(),
        )
        for meeting in meetings
    ]
    assert all(await asyncio.gather(*map(store.park, parkings)))
    return meetings


async def test_a_list_finds_a_session_that_no_webhook_reported(bench: CommandBench) -> None:
    await wait(bench)
    watch = watch_of(bench)
    assert await watch.poll() == 0
    begin(bench)
    assert await watch.poll() == 1
    await bench.unpark()
    assert len(bench.started()) == 1


async def test_there_is_one_request_in_each_interval_while_a_start_waits(
    bench: CommandBench,
) -> None:
    watch = watch_of(bench)
    await watch.poll_if_due()
    assert bench.requests(LIST) == []
    await wait(bench)
    for _ in range(100):
        bench.ahead += 0.5
        await watch.poll_if_due()
    assert len(bench.requests(LIST)) == 5
    begin(bench)
    await watch.poll()
    await bench.unpark()
    asked = len(bench.requests(LIST))
    bench.ahead += 3600
    await watch.poll_if_due()
    assert len(bench.requests(LIST)) == asked


async def test_thousands_of_waiting_starts_cost_as_many_requests_as_one(
    bench: CommandBench,
) -> None:
    meetings = await park_many(bench.store, MANY)
    for meeting in meetings[:150]:
        bench.sandbox.meetings.create(meeting, participants=1)
    watch = watch_of(bench)
    bench.ahead += 1.0
    await watch.poll_if_due()
    assert len(bench.requests(LIST)) == 2  # pages of 100
    due = await bench.store.due_commands(bench.store.now())
    assert {command.subject for command in due} == set(meetings[:150])
    assert (await bench.store.count_parked())["session"].commands == MANY


async def test_a_long_list_is_read_less_often(bench: CommandBench) -> None:
    await wait(bench)
    for _ in range(250):
        bench.sandbox.meetings.create(participants=1)
    watch = watch_of(bench, interval=1.0, rate=0.1)
    for _ in range(60):
        bench.ahead += 1.0
        await watch.poll_if_due()
    assert len(bench.requests(LIST)) == 6  # two reads of three pages


async def test_an_api_that_ignores_the_number_of_the_page_is_asked_twice(
    bench: CommandBench,
) -> None:
    for _ in range(150):
        bench.sandbox.meetings.create(participants=1)
    requests = 0

    def count(_request: httpx.Request, _body: object) -> None:
        nonlocal requests
        requests += 1

    async with aclosing(altered_client(bench.sandbox.base_url, count, ignores=["page_no"])) as api:
        await watch_of(bench, api=api).poll()
    assert requests == 2


async def test_sessions_that_have_ended_make_no_start_due(bench: CommandBench) -> None:
    begin(bench)
    bench.sandbox.meetings.end_session(bench.meeting)
    await wait(bench)
    assert await watch_of(bench).poll() == 0


async def test_no_list_is_read_while_the_api_is_unavailable(bench: CommandBench) -> None:
    await wait(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation=LIST, status=503))
    with pytest.raises(ApiError):
        await watch_of(bench).poll()
    asked = len(bench.requests(LIST))
    for _ in range(20):
        bench.breaker.record(Unavailable("server_error", "away"))
    await watch_of(bench).poll_if_due()
    assert bench.breaker.is_open
    assert len(bench.requests(LIST)) == asked
    assert await bench.parked() == 1


async def test_a_session_of_another_app_makes_no_start_due(bench: CommandBench) -> None:
    await wait(bench)
    sessions = LiveSessions(app="other", meeting_ids={bench.meeting})
    assert await bench.store.make_starts_due(sessions) == 0
    sessions = LiveSessions(app="default", meeting_ids={bench.meeting.upper()})
    assert await bench.store.make_starts_due(sessions) == 1


async def test_a_list_that_is_wrong_again_and_again_costs_ever_fewer_requests(
    bench: CommandBench,
) -> None:
    begin(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="active_session", status=404))
    await wait(bench)
    watch = watch_of(bench)
    for _ in range(100):
        bench.ahead += 10.0
        await watch.poll_if_due()
        await bench.unpark()
    assert len(bench.requests("active_session")) < 20
