"""The budget that replicas share, on both database engines, with the clock of the store."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from worker.budget.budget import Budget
from worker.budget.ledger import TokenRequest
from worker.budget.priorities import Priority
from worker.budget.sliding_window import ReportedLimit
from worker.domain.errors import OverBudget, StoreUnavailable
from worker.domain.rate import Rate
from worker.store.leases import LeaseRequest
from worker.store.store import Store

PLENTY = Rate(1_000_000, 1.0)
HOUR = 3600.0
"""A window so long that no quota returns within a test."""


@asynccontextmanager
async def running(*budgets: Budget) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as loops:
        tasks = [loops.create_task(budget.run()) for budget in budgets]
        yield
        for task in tasks:
            task.cancel()


async def spent(store: Store, name: str, rate: Rate) -> int:
    """The requests spent by the row, read without taking a token."""
    return rate.requests - (await store.acquire_tokens(name, TokenRequest(rates=(rate,)))).left


async def test_replicas_that_name_the_same_budget_share_it(store: Store) -> None:
    rate = Rate(20, HOUR)
    budgets = [Budget(store, "b", [rate], max_wait=0.05) for _ in range(3)]
    async with running(*budgets):
        results = await asyncio.gather(
            *(budget.acquire(Priority.STOP, patient=False) for budget in budgets * 10),
            return_exceptions=True,
        )
    assert sum(not isinstance(result, BaseException) for result in results) == 20
    assert all(
        isinstance(result, OverBudget) for result in results if isinstance(result, BaseException)
    )


async def test_unspent_tokens_are_returned_when_the_loop_ends(store: Store) -> None:
    rate = Rate(1000, HOUR)
    budget = Budget(store, "b", [rate])
    async with running(budget):
        for _ in range(30):
            await budget.acquire(Priority.COMMAND, patient=False)
    assert await spent(store, "b", rate) == 30


async def test_a_busy_replica_takes_tokens_in_blocks(store: Store) -> None:
    waits: list[float] = []
    budget = Budget(store, "b", [PLENTY], on_grant=lambda _priority, seconds: waits.append(seconds))
    async with running(budget):
        for _ in range(1000):
            await budget.acquire(Priority.COMMAND, patient=False)
            await asyncio.sleep(0)
    without_wait = sum(seconds == 0.0 for seconds in waits)
    assert without_wait > 900


async def test_over_budget_is_raised_at_once_with_the_time_to_wait(store: Store) -> None:
    budget = Budget(store, "b", [Rate(1, HOUR)], max_wait=HOUR / 2)
    async with running(budget):
        await budget.acquire(Priority.COMMAND, patient=False)
        with pytest.raises(OverBudget) as error:
            await budget.acquire(Priority.COMMAND, patient=False)
    assert error.value.retry_after == pytest.approx(HOUR, rel=0.1)


async def test_a_throttled_replica_stops_all_others(store: Store) -> None:
    throttled, other = (Budget(store, "b", [PLENTY], max_wait=1.0) for _ in range(2))
    async with running(throttled, other):
        throttled.pause(120.0)
        with pytest.raises(OverBudget):
            await throttled.acquire(Priority.STOP, patient=False)
        with pytest.raises(OverBudget) as error:
            await other.acquire(Priority.STOP, patient=False)
    assert error.value.retry_after == pytest.approx(120, rel=0.1)
    assert other.paused_for() == pytest.approx(120, rel=0.1)


async def test_held_tokens_are_not_spent_during_a_pause(store: Store) -> None:
    budget = Budget(store, "b", [PLENTY], max_wait=1.0)
    async with running(budget):
        for _ in range(30):
            await budget.acquire(Priority.COMMAND, patient=False)
        budget.pause(None)
        with pytest.raises(OverBudget) as error:
            await budget.acquire(Priority.COMMAND, patient=False)
    assert error.value.retry_after == pytest.approx(5, abs=1.5)


async def test_stops_pause_for_a_second_if_the_api_asked_for_no_pause(store: Store) -> None:
    throttled, other = (Budget(store, "b", [PLENTY], max_wait=5.0) for _ in range(2))
    async with running(throttled, other):
        throttled.pause(None)
        paused_at = time.monotonic()
        await throttled.acquire(Priority.STOP, patient=False)
        assert time.monotonic() - paused_at > 0.9
        await other.acquire(Priority.STOP, patient=False)
        assert other.paused_for() > 0.0


async def test_a_limit_reported_to_one_replica_holds_for_all(
    store: Store, eventually: Eventually
) -> None:
    informed, other = (Budget(store, "b", [PLENTY], max_wait=0.1) for _ in range(2))
    async with running(informed, other):
        informed.record_limits([ReportedLimit(Rate(10, 60.0), left=0)])
        await eventually(lambda: informed.remaining() == 0)
        with pytest.raises(OverBudget):
            await other.acquire(Priority.STOP, patient=False)


async def test_a_cancelled_request_returns_its_token(store: Store) -> None:
    rate = Rate(10, HOUR)
    budget = Budget(store, "b", [rate])
    waiting = asyncio.create_task(budget.acquire(Priority.COMMAND, patient=True))
    await asyncio.sleep(0)
    async with running(budget):
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    assert await spent(store, "b", rate) == 0


async def test_without_the_store_every_request_raises_store_unavailable(store: Store) -> None:
    budget = Budget(store, "b", [PLENTY])
    await store.close()
    async with running(budget):
        for priority in Priority:
            with pytest.raises(StoreUnavailable):
                await budget.acquire(priority, patient=True)


async def test_spent_tokens_survive_a_restart(tmp_path: Path) -> None:
    url, rate = f"sqlite:///{tmp_path / 'state.db'}", Rate(10, HOUR)
    for expected in (0, 3, 6):
        async with AsyncExitStack() as stack:
            store = await Store.open(url, source="test")
            stack.push_async_callback(store.close)
            assert await spent(store, "b", rate) == expected
            budget = Budget(store, "b", [rate])
            await stack.enter_async_context(running(budget))
            for _ in range(3):
                await budget.acquire(Priority.STOP, patient=False)


async def test_a_clock_that_is_set_back_does_not_block_requests(
    tmp_path: Path,
) -> None:
    offset, url = [HOUR], f"sqlite:///{tmp_path / 'state.db'}"
    store = await Store.open(url, source="test", now=lambda: time.time() + offset[0])
    budget = Budget(store, "b", [Rate(1200, 300.0)])
    async with running(budget):
        await budget.acquire(Priority.STOP, patient=False)
        offset[0] = 0.0
        for _ in range(3):
            await budget.acquire(Priority.STOP, patient=False)
    await store.close()


async def test_replicas_that_also_commit_other_work_never_deadlock(
    postgresql: PostgreSQLServer,
) -> None:
    url, rate = postgresql.new_database(), Rate(1_000_000, HOUR)
    replicas = [await Store.open(url, source="test") for _ in range(3)]
    request = TokenRequest(rates=(rate,), needed=(1, 0, 0))
    lease = LeaseRequest(name="leader", owner="me", now=0.0, until=1.0)
    await asyncio.gather(*(replica.acquire_lease(lease) for replica in replicas))
    for _ in range(40):
        operations: list[Awaitable[object]] = []
        for index, replica in enumerate(replicas):
            operations += [replica.outbox_depth()]  # while this commits, both others queue
            requests = [replica.acquire_tokens("b", request), replica.acquire_lease(lease)]
            operations += requests if index % 2 else reversed(requests)
        await asyncio.gather(*operations)
    assert await spent(replicas[0], "b", rate) == 40 * len(replicas)
    for replica in replicas:
        await replica.close()
    with psycopg.connect(url) as connection:
        (deadlocks,) = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone() or (None,)
    assert deadlocks == 0
    postgresql.drop_database(url)
