"""Requests that wait while the clock is set back."""

import asyncio

from tests.unit.budget.test_pauses import InMemoryStore
from worker.budget.budget import Budget
from worker.budget.priorities import Priority
from worker.domain.errors import OverBudget
from worker.domain.rate import Rate


async def test_a_request_waits_no_longer_because_the_clock_is_set_back() -> None:
    store = InMemoryStore()
    budget = Budget(store, "b", [Rate(1, 6.0)], max_wait=5.0)
    await asyncio.gather(budget.acquire(Priority.STOP, patient=False), budget._run_once())
    store.time += 5.0
    waiting = asyncio.create_task(budget.acquire(Priority.STOP, patient=False))
    await asyncio.sleep(0)
    await budget._run_once()  # in about four seconds there is quota again
    store.time -= 3600.0
    await budget._run_once()  # in about nine seconds
    await asyncio.wait([waiting], timeout=5.0)
    assert isinstance(waiting.exception(), OverBudget)
