"""The limits in the API's answers, until a request to the ledger reports them."""

import asyncio

import pytest

from tests.unit.budget.test_pauses import InMemoryStore
from worker.budget.budget import Budget
from worker.budget.pending_report import PendingReport
from worker.budget.priorities import Priority
from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate

RATE = Rate(10, 60.0)


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def budget(store: InMemoryStore) -> Budget:
    return Budget(store, "b", [RATE])


async def acquire(budget: Budget, store: InMemoryStore) -> None:
    store.time += 1.0
    await asyncio.gather(budget.acquire(Priority.STOP, patient=False), budget._run_once())


async def test_our_own_requests_before_an_idle_time_do_not_count_as_those_of_other_programs(
    budget: Budget, store: InMemoryStore
) -> None:
    for left in reversed(range(1, 10)):
        await acquire(budget, store)
        budget.record_limits([ReportedLimit(RATE, left)])
    store.time += 3600.0
    await acquire(budget, store)
    assert budget.remaining() == 9


@pytest.mark.parametrize("scarcest", [0, 5])
def test_the_scarcest_report_about_a_rate_counts(scarcest: int) -> None:
    report = PendingReport()
    for left in (None, scarcest, 7, None):
        report.add_limits([ReportedLimit(RATE, left)], 1.0)
    assert report.limits(1.0) == (ReportedLimit(RATE, scarcest),)
    assert report.has_pause == (scarcest == 0)
