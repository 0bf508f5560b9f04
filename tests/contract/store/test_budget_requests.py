"""The API client and the budget together, against the emulated API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import Eventually
from recording_schemas import StopRecording, SyncRecording
from tests.operation_contexts import operation_context
from worker.budget.budget import Budget
from worker.budget.ledger import TokenRequest
from worker.budget.priorities import Priority
from worker.commands.operations import execute
from worker.commands.operations.context import OperationContext
from worker.domain.errors import ApiError, OverBudget, Throttled
from worker.domain.rate import Rate
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.store import Store

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
HOUR = 3600.0
START = {"meeting_id": MEETING, "layers": {"default": {"file_name_prefix": "p"}}}


class Client:
    """The API client with a budget, and the reports of both."""

    def __init__(self, sandbox: Sandbox, store: Store, rate: Rate, max_wait: float) -> None:
        self.priorities: list[Priority] = []
        self.errors: list[ApiError | None] = []
        self.store, self.rate = store, rate
        self.budget = Budget(
            store,
            "b",
            [rate],
            max_wait=max_wait,
            on_grant=lambda priority, _: self.priorities.append(priority),
        )
        self.api = RealtimeKitClient(
            base_url=sandbox.base_url,
            account_id="account",
            app_id="app",
            token=lambda: "token",
            timeout=10.0,
            retry=RequestRetry(attempts=3, base_seconds=0.001),
            on_attempt=lambda attempt: self.errors.append(attempt.error),
            budget=self.budget,
        )

    async def spent(self) -> int:
        return (
            self.rate.requests
            - (await self.store.acquire_tokens("b", TokenRequest(rates=(self.rate,)))).left
        )

    def operation_context(self) -> OperationContext:
        def now() -> datetime:
            return datetime.now(UTC)

        return operation_context(self.api, "s", now=now)


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(seed=1)) as sandbox:
        sandbox.behaviour.change({"invoked_seconds": 0})
        yield sandbox


@pytest.fixture
async def open_client(sandbox: Sandbox, sqlite_url: str) -> AsyncIterator[Open]:
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


async def test_every_attempt_of_a_request_takes_a_token(
    sandbox: Sandbox, open_client: Open
) -> None:
    sandbox.faults.add(Fault(kind="refuse", status=503, count=2))
    async with open_client() as client:
        await client.api.list_recordings()
    assert await client.spent() == 3 == len(sandbox.request_log.requests)


async def test_a_request_over_budget_is_not_sent_and_is_no_failure_of_the_api(
    sandbox: Sandbox, open_client: Open
) -> None:
    async with open_client(requests=10, max_wait=0.1) as client:
        requests = (client.api.list_recordings() for _ in range(10))
        results = await asyncio.gather(*requests, return_exceptions=True)
    rejected = [result for result in results if isinstance(result, OverBudget)]
    assert rejected
    assert all(result.retry_after for result in rejected)
    assert len(sandbox.request_log.requests) == len(client.errors) == 10 - len(rejected)
    assert set(client.errors) == {None}
    assert client.api.unavailable_reason is None


async def test_a_429_stops_the_client_for_its_retry_after(
    sandbox: Sandbox, open_client: Open
) -> None:
    sandbox.faults.add(
        Fault(kind="refuse", status=429, envelope="cloudflare", retry_after=120, count=1)
    )
    async with open_client() as client:
        with pytest.raises((Throttled, OverBudget)):
            await client.api.list_recordings()
        for priority in Priority:
            with pytest.raises(OverBudget) as error:
                await client.api.with_priority(priority, patient=False).list_recordings()
            assert error.value.retry_after == pytest.approx(120, rel=0.1)
    assert len(sandbox.request_log.requests) == 1


async def test_a_limit_that_is_not_configured_is_learned_from_responses(
    sandbox: Sandbox, open_client: Open
) -> None:
    sandbox.behaviour.change({"rate_limits": ["20/60"]})
    async with open_client(requests=100_000, max_wait=0.1) as client:
        results: list[Any] = [await client.api.list_recordings()]
        for _ in range(10):
            await asyncio.sleep(0)
            requests = (client.api.with_priority(Priority.STOP).list_recordings() for _ in range(5))
            results += await asyncio.gather(*requests, return_exceptions=True)
    assert sandbox.rate_limiter.breaches == 0
    assert 10 <= len(sandbox.request_log.requests) <= 20
    assert any(isinstance(result, OverBudget) for result in results)


async def test_a_stop_and_its_reads_have_the_priority_of_stops(
    sandbox: Sandbox, open_client: Open
) -> None:
    async with open_client() as client:
        await client.api.start_track_recording(START)
        await execute(StopRecording(id="c", meeting_id=MEETING), client.operation_context())
    assert client.priorities == [Priority.COMMAND, Priority.STOP, Priority.STOP]


async def test_a_sync_has_the_priority_of_reads(sandbox: Sandbox, open_client: Open) -> None:
    async with open_client() as client:
        started = await client.api.start_track_recording(START)
        await execute(
            SyncRecording(id="c", recording_id=started.recording_id), client.operation_context()
        )
    assert client.priorities == [Priority.COMMAND, Priority.READ]


async def test_a_cancelled_request_keeps_its_token_spent_because_it_may_have_arrived(
    sandbox: Sandbox, open_client: Open, eventually: Eventually
) -> None:
    sandbox.faults.add(Fault(kind="slow", seconds=30))
    (slow,) = sandbox.faults.active()
    async with open_client() as client:
        request = asyncio.create_task(client.api.list_recordings())
        await eventually(lambda: slow.triggered)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert await client.spent() == 1
