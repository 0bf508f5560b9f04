"""The API's client and the budget together, against the emulated API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_schemas import StopRecording, SyncRecording
from sandbox.api.options import SandboxOptions
from sandbox.api.server import Sandbox
from sandbox.model.faults import Fault
from sandbox.waiting import Eventually
from worker.budget.budget import Budget
from worker.budget.ledger import TokenRequest
from worker.budget.priorities import Priority
from worker.commands.operations import execute
from worker.commands.operations.context import OperationContext
from worker.domain.errors import ApiError, OverBudget, Throttled
from worker.domain.rate import Rate
from worker.domain.recording import StartContext
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.store import Store

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
HOUR = 3600.0
START = {"meeting_id": MEETING, "layers": {"default": {"file_name_prefix": "p"}}}


class Client:
    """The API paid from a budget, and what was heard of both."""

    def __init__(self, sandbox: Sandbox, store: Store, rate: Rate, max_wait: float) -> None:
        self.paid: list[Priority] = []
        self.heard: list[ApiError | None] = []
        self.store, self.rate = store, rate
        self.budget = Budget(
            store, "b", [rate], max_wait=max_wait, on_grant=lambda one, _: self.paid.append(one)
        )
        self.api = RealtimeKitClient(
            base_url=sandbox.base_url,
            account_id="account",
            app_id="app",
            token=lambda: "token",
            timeout=10.0,
            retry=RequestRetry(attempts=3, base_seconds=0.001),
            on_attempt=lambda one: self.heard.append(one.error),
            budget=self.budget,
        )

    async def spent(self) -> int:
        return (
            self.rate.requests
            - (await self.store.acquire_tokens("b", TokenRequest(rates=(self.rate,)))).left
        )

    def attempt(self) -> OperationContext:
        def now() -> datetime:
            return datetime.now(UTC)

        return OperationContext(
            api=self.api, app="default", now=now, start_context=StartContext(start_id="s")
        )


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(seed=1)) as sandbox:
        sandbox.behaviour.change({"invoked_seconds": 0})
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox, sqlite_url: str) -> AsyncIterator[Open]:
    store = await Store.open(sqlite_url, source="test")

    @asynccontextmanager
    async def opened(requests: int = 1000, max_wait: float = 0.5) -> AsyncIterator[Client]:
        client = Client(sandbox, store, Rate(requests, HOUR), max_wait)
        async with asyncio.TaskGroup() as loops:
            running = loops.create_task(client.budget.run())
            yield client
            running.cancel()
        await client.api.aclose()

    yield opened
    await store.close()


async def test_every_try_of_a_request_is_paid_for(sandbox: Sandbox, client: Open) -> None:
    sandbox.faults.add(Fault(kind="refuse", status=503, count=2))
    async with client() as one:
        await one.api.list_recordings()
    assert await one.spent() == 3 == len(sandbox.request_log.requests)


async def test_a_request_that_is_over_budget_is_neither_sent_nor_held_against_the_api(
    sandbox: Sandbox, client: Open
) -> None:
    async with client(requests=10, max_wait=0.1) as one:
        tries = (one.api.list_recordings() for _ in range(10))
        answers = await asyncio.gather(*tries, return_exceptions=True)
    over = [answer for answer in answers if isinstance(answer, OverBudget)]
    assert over
    assert all(answer.retry_after for answer in over)
    assert len(sandbox.request_log.requests) == len(one.heard) == 10 - len(over)
    assert set(one.heard) == {None}
    assert one.api.trouble is None


async def test_a_429_stops_the_client_for_as_long_as_it_asks(
    sandbox: Sandbox, client: Open
) -> None:
    sandbox.faults.add(Fault(kind="refuse", status=429, retry_after=120, count=1))
    async with client() as one:
        with pytest.raises((Throttled, OverBudget)):
            await one.api.list_recordings()
        for priority in Priority:
            with pytest.raises(OverBudget) as error:
                await one.api.with_priority(priority, patient=False).list_recordings()
            assert error.value.retry_after == pytest.approx(120, rel=0.1)
    assert len(sandbox.request_log.requests) == 1


async def test_a_limit_that_nobody_configured_is_learned_from_the_answers(
    sandbox: Sandbox, client: Open
) -> None:
    sandbox.behaviour.change({"rate_limits": ["20/60"]})
    async with client(requests=100_000, max_wait=0.1) as one:
        answers: list[Any] = [await one.api.list_recordings()]
        for _ in range(10):
            await asyncio.sleep(0)
            tries = (one.api.with_priority(Priority.STOP).list_recordings() for _ in range(5))
            answers += await asyncio.gather(*tries, return_exceptions=True)
    assert sandbox.rate_limiter.breaches == 0
    assert 10 <= len(sandbox.request_log.requests) <= 20
    assert any(isinstance(one, OverBudget) for one in answers)


async def test_a_stop_and_its_look_ups_are_paid_first(sandbox: Sandbox, client: Open) -> None:
    async with client() as one:
        await one.api.start_track_recording(START)
        await execute(StopRecording(id="c", meeting_id=MEETING), one.attempt())
    assert one.paid == [Priority.COMMAND, Priority.STOP, Priority.STOP]


async def test_a_sync_is_paid_as_a_read(sandbox: Sandbox, client: Open) -> None:
    async with client() as one:
        started = await one.api.start_track_recording(START)
        await execute(SyncRecording(id="c", recording_id=started.recording_id), one.attempt())
    assert one.paid == [Priority.COMMAND, Priority.READ]


async def test_a_request_that_was_cancelled_may_have_arrived_and_stays_paid(
    sandbox: Sandbox, client: Open, eventually: Eventually
) -> None:
    sandbox.faults.add(Fault(kind="slow", seconds=30))
    (slow,) = sandbox.faults.active()
    async with client() as one:
        asking = asyncio.create_task(one.api.list_recordings())
        await eventually(lambda: slow.triggered)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await one.spent() == 1
