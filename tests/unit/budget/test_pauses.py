"""How long requests pause when the API throttles and asks for no pause."""

import pytest

from worker.budget.budget import Budget
from worker.budget.ledger import Ledger, TokenGrant, TokenRequest
from worker.domain.rate import Rate


class InMemoryStore:
    """A budget's store in memory. A test moves its clock."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self._ledger = Ledger()

    def now(self) -> float:
        return self.time

    async def acquire_tokens(self, name: str, request: TokenRequest) -> TokenGrant:
        del name
        grant, self._ledger = self._ledger.apply(request, self.time)
        return grant


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def budget(store: InMemoryStore) -> Budget:
    return Budget(store, "b", [Rate(1_000_000, 1.0)])


async def pause(budget: Budget, retry_after: float | None = None) -> float:
    """The pause that all replicas keep to after the API has throttled."""
    budget.pause(retry_after)
    await budget._run_once()  # one turn of the loop, without waiting
    return budget.paused_for()


async def test_a_pause_that_the_api_did_not_ask_for_is_short_and_grows_to_a_minute(
    budget: Budget, store: InMemoryStore
) -> None:
    pauses = []
    for _ in range(6):
        pauses.append(await pause(budget))
        store.time += pauses[-1]
    assert pauses == pytest.approx([5, 10, 20, 40, 60, 60])


async def test_requests_that_were_on_their_way_do_not_prolong_the_pause(
    budget: Budget, store: InMemoryStore
) -> None:
    assert await pause(budget) == pytest.approx(5)
    store.time += 1.0
    assert await pause(budget) == pytest.approx(4)


async def test_the_pause_is_short_again_after_an_answer(
    budget: Budget, store: InMemoryStore
) -> None:
    """An API that refuses only starts, with an unknown text, does not throttle other requests."""
    for _ in range(5):
        assert await pause(budget) == pytest.approx(5)
        store.time += 6.0
        budget.record_success()


async def test_a_pause_that_the_api_asked_for_is_kept(budget: Budget) -> None:
    assert await pause(budget, 120.0) == pytest.approx(120)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_that_jumps_makes_a_pause_ten_minutes_long_at_most(
    budget: Budget, store: InMemoryStore, jump: float
) -> None:
    await pause(budget)
    store.time += jump
    assert await pause(budget) <= 600.0
