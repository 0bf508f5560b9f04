"""A command without quota in the budget is retried later: it is neither sent nor failed."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Envelope, Fault
from worker.broker.messages import Ack, Delivery, Retry, Settlement
from worker.budget.budget import Budget
from worker.budget.ledger import TokenRequest
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.rate import Rate
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.store import Store

POLICY = RetryPolicy(
    max_age=3600,
    stop_wait=300,
    reconcile=0,
    lease=60,
    retry_delays=(5.0, 30.0, 120.0),
)
RATE = Rate(20, 3600.0)


class Bench:
    """The command handler on real parts, with a budget that a test can exhaust."""

    def __init__(self, sandbox: Sandbox, store: Store) -> None:
        self.sandbox, self.store = sandbox, store
        self.budget = Budget(store, "b", [RATE], max_wait=2.0)
        self.api = RealtimeKitClient(
            base_url=sandbox.base_url,
            account_id="account",
            app_id="app",
            token=lambda: "token",
            timeout=5.0,
            retry=RequestRetry(attempts=2, base_seconds=0.01),
            budget=self.budget,
        )
        self.breaker = CircuitBreaker(time.monotonic)
        self.handler = CommandHandler(
            store,
            Apps([App(name="default", api=self.api, breaker=self.breaker)]),
            POLICY,
            owner="me",
            source="test",
            now=time.time,
            max_command_bytes=10_000,
            metrics=Metrics(CollectorRegistry(), version="test"),
        )

    async def send(self, **command: str) -> Settlement:
        body = msgspec.json.encode(command)
        return await self.handler.handle(Delivery(body=body, routing_key="x"))

    async def spend(self) -> None:
        """Use up the budget, except the reserve for stops."""
        await self.store.acquire_tokens("b", TokenRequest(rates=(RATE,), needed=(0, 1000, 0)))


@asynccontextmanager
async def bench_on(url: str) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(seed=1)))
        store = await Store.open(url, source="test")
        stack.push_async_callback(store.close)
        bench = Bench(sandbox, store)
        stack.push_async_callback(bench.api.aclose)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(bench.budget.run())
        yield bench
        running.cancel()


async def test_a_start_over_budget_is_retried_after_a_constant_delay_and_never_sent(
    sqlite_url: str,
) -> None:
    start = {"type": "start_track_recording", "id": "start", "meeting_id": str(uuid.uuid4())}
    async with bench_on(sqlite_url) as bench:
        await bench.spend()
        for _ in range(5):
            settlement = await bench.send(**start)
            assert isinstance(settlement, Retry)
            assert (settlement.code, settlement.delay_seconds) == ("over_budget", 120.0)
        assert not bench.sandbox.request_log.requests
        assert not bench.breaker.is_open


async def test_a_stop_has_a_reserve_that_starts_cannot_spend(sqlite_url: str) -> None:
    meeting = str(uuid.uuid4())
    start = {"type": "start_track_recording", "meeting_id": meeting}
    async with bench_on(sqlite_url) as bench:
        bench.sandbox.behaviour.change({"invoked_seconds": 0})
        assert isinstance(await bench.send(id="start", **start), Ack)
        await bench.spend()
        assert isinstance(await bench.send(id="again", **start), Retry)
        stop = {"type": "stop_recording", "id": "stop", "start_id": "start"}
        assert isinstance(await bench.send(**stop), Ack)


@pytest.mark.parametrize("envelope", ["cloudflare", "message", "html", "empty"])
async def test_a_stop_is_sent_while_starts_are_throttled_without_a_requested_pause(
    sqlite_url: str, envelope: Envelope
) -> None:
    start = {"type": "start_track_recording", "meeting_id": str(uuid.uuid4())}
    async with bench_on(sqlite_url) as bench:
        bench.sandbox.behaviour.change({"invoked_seconds": 0})
        assert isinstance(await bench.send(id="start", **start), Ack)
        throttled = Fault(kind="refuse", status=429, operation=start["type"], envelope=envelope)
        bench.sandbox.faults.add(throttled)
        assert isinstance(await bench.send(id="again", **start), Retry)
        assert bench.budget.paused_for() > 0
        stop = {"type": "stop_recording", "id": "stop", "start_id": "start"}
        assert isinstance(await bench.send(**stop), Ack)


async def test_a_stop_waits_for_the_pause_that_the_api_asked_for(sqlite_url: str) -> None:
    start = {"type": "start_track_recording", "meeting_id": str(uuid.uuid4())}
    async with bench_on(sqlite_url) as bench:
        bench.sandbox.behaviour.change({"invoked_seconds": 0})
        assert isinstance(await bench.send(id="start", **start), Ack)
        throttled = Fault(kind="refuse", status=429, envelope="cloudflare", retry_after=30.0)
        bench.sandbox.faults.add(throttled)
        assert isinstance(await bench.send(id="again", **start), Retry)
        stop = {"type": "stop_recording", "id": "stop", "start_id": "start"}
        assert isinstance(await bench.send(**stop), Retry)
        assert len(bench.sandbox.request_log.requests) == 2
