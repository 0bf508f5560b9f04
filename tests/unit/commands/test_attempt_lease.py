"""How long an attempt may last, and until when it may send requests."""

from pathlib import Path

import pytest

from worker.commands.attempt_lease import SHARE_OF_LEASE, AttemptLease
from worker.domain.errors import LeaseLost
from worker.store.store import Store

LEASE = 60.0


async def test_an_attempt_that_was_interrupted_for_its_share_of_the_lease_does_not_call(
    tmp_path: Path,
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'state.db'}", source="test")
    times = [0.0]
    lease = AttemptLease(store, owner="me", now=lambda: times[0], lease_seconds=LEASE)
    times[0] = LEASE * SHARE_OF_LEASE - 1.0
    await lease.confirm("start")
    assert 0.0 < lease.remaining() <= 1.0
    times[0] += 2.0
    with pytest.raises(LeaseLost):
        lease.remaining()
    with pytest.raises(LeaseLost):
        await lease.confirm("start")
    await store.close()
