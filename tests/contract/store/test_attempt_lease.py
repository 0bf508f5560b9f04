"""On PostgreSQL an attempt asks whether it still has its command, unless it has just claimed it."""

from typing import Any

import pytest

from tests.store_requests import claim_request
from worker.commands.attempt_lease import FRESH_SECONDS, AttemptLease
from worker.domain.errors import LeaseLost
from worker.store.claims import ClaimRequest
from worker.store.store import Store

LEASE = 60.0
SETTLE = 30.0
COMMAND = "start"


def claim(owner: str, now: float) -> ClaimRequest:
    times: dict[str, Any] = {"now": now, "lease_seconds": LEASE, "reconcile_seconds": SETTLE}
    return claim_request(COMMAND, owner=owner, app="default", slot="meeting/track", **times)


@pytest.mark.parametrize("moved", range(4))
@pytest.mark.parametrize(
    ("seconds", "calls"),
    [(0.0, True), (FRESH_SECONDS * 0.9, True), (FRESH_SECONDS * 1.1, False), (LEASE / 2, False)],
)
async def test_only_an_attempt_that_is_fresh_by_all_clocks_calls_without_asking(
    postgresql_url: str, moved: int, seconds: float, *, calls: bool
) -> None:
    store = await Store.open(postgresql_url, source="test")
    times = [1_800_000_000.0] * 4
    clocks = [lambda number=number: times[number] for number in range(4)]
    lease = AttemptLease(store, owner="me", now=clocks[0], lease_seconds=LEASE, clocks=clocks[1:])
    times[moved] += seconds
    if calls:
        await lease.confirm(COMMAND)
    else:
        with pytest.raises(LeaseLost):  # no process has claimed it
            await lease.confirm(COMMAND)
    await store.close()


@pytest.mark.parametrize("suspended", [LEASE + 1.0, LEASE + SETTLE + 1.0, 700.0])
async def test_a_machine_that_was_suspended_before_its_claim_does_not_call_once_another_one_has(
    replicas: tuple[Store, Store], suspended: float
) -> None:
    """Its copy of the database's clock has stood still, and so have its own clocks."""
    suspended_store, other_store = replicas
    clock = suspended_store._group._runner._clock
    database_time, tick = clock._reading  # type: ignore[union-attr]
    clock._reading = (database_time - suspended, tick)  # type: ignore[union-attr]
    lease = AttemptLease(suspended_store, owner="me", now=suspended_store.now, lease_seconds=LEASE)
    assert (await suspended_store.claim(claim("me", suspended_store.now()))).verdict == "new"
    assert (await other_store.claim(claim("they", other_store.now()))).verdict == "again"
    with pytest.raises(LeaseLost):
        await lease.confirm(COMMAND)
