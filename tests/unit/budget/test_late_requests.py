"""Requests that end later than the ledger expects."""

import asyncio

from tests.unit.budget.test_pauses import InMemoryStore
from worker.budget.budget import Budget
from worker.budget.priorities import Priority
from worker.domain.rate import Rate


async def test_a_request_that_ends_late_counts_from_its_end() -> None:
    store = InMemoryStore()
    budget = Budget(store, "b", [Rate(10, 10.0)])
    sent = asyncio.gather(budget.acquire(Priority.STOP, patient=True), budget._run_once())
    token, _ = await sent
    store.time += 1000.0
    budget.release(token)
    await budget._run_once()
    assert budget.remaining() == 9
