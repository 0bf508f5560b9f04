"""The budget that replicas share, on both engines, with the store's own clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from sandbox.services.postgresql import PostgreSQLServer
from sandbox.waiting import Eventually
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
"""Nothing comes back within a test."""


@asynccontextmanager
async def running(*budgets: Budget) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as loops:
        tasks = [loops.create_task(budget.run()) for budget in budgets]
        yield
        for task in tasks:
            task.cancel()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test")
    yield opened
    await opened.close()


async def spent(store: Store, name: str, rate: Rate) -> int:
    """What the row says, asked without taking anything."""
    return rate.requests - (await store.acquire_tokens(name, TokenRequest(rates=(rate,)))).left


async def test_all_who_name_a_budget_spend_from_the_same_one(store: Store) -> None:
    rate = Rate(20, HOUR)
    budgets = [Budget(store, "b", [rate], max_wait=0.05) for _ in range(3)]
    async with running(*budgets):
        paid = await asyncio.gather(
            *(one.acquire(Priority.STOP, patient=False) for one in budgets * 10),
            return_exceptions=True,
        )
    assert sum(not isinstance(one, BaseException) for one in paid) == 20
    assert all(isinstance(one, OverBudget) for one in paid if isinstance(one, BaseException))


async def test_what_is_left_in_hand_at_the_end_goes_back(store: Store) -> None:
    rate = Rate(1000, HOUR)
    budget = Budget(store, "b", [rate])
    async with running(budget):
        for _ in range(30):
            await budget.acquire(Priority.COMMAND, patient=False)
    assert await spent(store, "b", rate) == 30


async def test_a_busy_replica_takes_blocks_and_not_single_tokens(store: Store) -> None:
    asked: list[float] = []
    budget = Budget(store, "b", [PLENTY], on_grant=lambda _priority, seconds: asked.append(seconds))
    async with running(budget):
        for _ in range(1000):
            await budget.acquire(Priority.COMMAND, patient=False)
            await asyncio.sleep(0)
    at_once = sum(seconds == 0.0 for seconds in asked)
    assert at_once > 900


async def test_over_budget_tells_when_there_is_more_and_is_raised_at_once(store: Store) -> None:
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


async def test_tokens_in_hand_are_not_used_in_a_pause(store: Store) -> None:
    budget = Budget(store, "b", [PLENTY], max_wait=1.0)
    async with running(budget):
        for _ in range(30):
            await budget.acquire(Priority.COMMAND, patient=False)
        budget.pause(None)
        with pytest.raises(OverBudget) as error:
            await budget.acquire(Priority.STOP, patient=False)
    assert error.value.retry_after == pytest.approx(60, rel=0.1)


async def test_a_limit_that_one_replica_hears_of_holds_for_all(
    store: Store, eventually: Eventually
) -> None:
    hearing, other = (Budget(store, "b", [PLENTY], max_wait=0.1) for _ in range(2))
    async with running(hearing, other):
        hearing.record_limits([ReportedLimit(Rate(10, 60.0), left=0)])
        await eventually(lambda: hearing.remaining() == 0)
        with pytest.raises(OverBudget):
            await other.acquire(Priority.STOP, patient=False)


async def test_a_cancelled_request_gives_its_leave_back(store: Store) -> None:
    rate = Rate(10, HOUR)
    budget = Budget(store, "b", [rate])
    waiting = asyncio.create_task(budget.acquire(Priority.COMMAND, patient=True))
    await asyncio.sleep(0)
    async with running(budget):
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    assert await spent(store, "b", rate) == 0


async def test_without_the_store_nothing_is_paid_and_all_who_wait_hear_why(store: Store) -> None:
    budget = Budget(store, "b", [PLENTY])
    await store.close()
    async with running(budget):
        for priority in Priority:
            with pytest.raises(StoreUnavailable):
                await budget.acquire(priority, patient=True)


async def test_a_restart_finds_what_was_spent(tmp_path: Path) -> None:
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


async def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_what_was_to_come_by_it(
    tmp_path: Path,
) -> None:
    ahead, url = [HOUR], f"sqlite:///{tmp_path / 'state.db'}"
    store = await Store.open(url, source="test", now=lambda: time.time() + ahead[0])
    budget = Budget(store, "b", [Rate(1200, 300.0)])
    async with running(budget):
        await budget.acquire(Priority.STOP, patient=False)
        ahead[0] = 0.0
        for _ in range(3):
            await budget.acquire(Priority.STOP, patient=False)
    await store.close()


async def test_replicas_that_commit_other_things_too_never_wait_for_each_other_in_a_circle(
    postgresql: PostgreSQLServer,
) -> None:
    url, rate = postgresql.new_database(), Rate(1_000_000, HOUR)
    replicas = [await Store.open(url, source="test") for _ in range(3)]
    ask = TokenRequest(rates=(rate,), needed=(1, 0, 0))
    hold = LeaseRequest(name="leader", owner="me", now=0.0, until=1.0)
    await asyncio.gather(*(one.acquire_lease(hold) for one in replicas))
    for _ in range(40):
        wishes: list[Awaitable[object]] = []
        for place, one in enumerate(replicas):
            wishes += [one.outbox_depth()]  # while that is committed, both others get in line
            both = [one.acquire_tokens("b", ask), one.acquire_lease(hold)]
            wishes += both if place % 2 else reversed(both)
        await asyncio.gather(*wishes)
    assert await spent(replicas[0], "b", rate) == 40 * len(replicas)
    for one in replicas:
        await one.close()
    with psycopg.connect(url) as looking:
        (deadlocks,) = looking.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone() or (None,)
    assert deadlocks == 0
    postgresql.drop_database(url)
