"""On PostgreSQL an attempt asks whether it still has its command, unless it has just claimed it."""

import pytest

from worker.commands.attempt_lease import FRESH_SECONDS, AttemptLease
from worker.domain.errors import LeaseLost
from worker.store.store import Store

LEASE = 60.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize("interruption", [0.0, FRESH_SECONDS / 2])
async def test_an_attempt_that_has_just_claimed_its_command_calls_without_asking(
    postgresql_url: str, interruption: float
) -> None:
    store, times, lease = await _attempt(postgresql_url)
    times[0] += interruption
    await store.close()
    await lease.confirm("start")


@pytest.mark.parametrize("interruption", [FRESH_SECONDS * 1.1, 1.0, LEASE / 2])
async def test_an_attempt_that_was_interrupted_does_not_call_for_a_command_that_another_one_has(
    postgresql_url: str, interruption: float
) -> None:
    store, times, lease = await _attempt(postgresql_url)
    times[0] += interruption
    with pytest.raises(LeaseLost):
        await lease.confirm("start")
    await store.close()


async def _attempt(database_url: str) -> tuple[Store, list[float], AttemptLease]:
    """A store, the time, and the lease of an attempt whose command another replica has."""
    store = await Store.open(database_url, source="test")
    times = [NOW]
    lease = AttemptLease(store, owner="me", now=lambda: times[0], lease_seconds=LEASE)
    return store, times, lease
