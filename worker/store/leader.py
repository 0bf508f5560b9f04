"""Which replica relays and sweeps: the one that holds the lease."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.store.leases import LeaseRequest
from worker.store.store import Store

LEASE_NAME: Final = "leader"
NEVER: Final = float("-inf")


class LeaderElector:
    """Holds the lease while it can. `is_leader()` is true only while the lease surely lasts.

    The lease is written down by `now`, the clock of all replicas; how long this one has had it is
    told by `ticks`, which nobody can set.
    """

    def __init__(
        self,
        store: Store,
        *,
        owner: str,
        lease_seconds: float,
        now: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease_seconds
        self._now = now
        self._ticks = ticks
        self._until = NEVER
        self._woken = asyncio.Event()

    def is_leader(self) -> bool:
        """Whether this replica may relay and sweep now."""
        return self._ticks() < self._until

    def wake(self) -> None:
        """Somebody gave the lease up: ask for it at once."""
        self._woken.set()

    async def run(self) -> None:
        """Take and extend the lease for ever."""
        while True:
            self._woken.clear()
            await self.try_acquire()
            await wait_until_set(self._woken, self._lease / 3)

    async def release(self) -> None:
        """Give the lease up, so that another replica need not wait for its end."""
        self._until = NEVER
        with contextlib.suppress(StoreUnavailable):  # then it ends by itself
            await self._store.release_leases(self._owner)

    async def try_acquire(self) -> None:
        """Ask for the lease once."""
        led, asked, now = self.is_leader(), self._ticks(), self._now()
        until = now + self._lease
        try:
            held = await self._store.acquire_lease(
                LeaseRequest(name=LEASE_NAME, owner=self._owner, now=now, until=until)
            )
        except StoreUnavailable:
            return  # what is held lasts until its end
        self._until = asked + self._lease if held else NEVER
        if held != led:
            event = "leader_elected" if held else "leader_lost"
            structlog.get_logger().info(event, owner=self._owner)
