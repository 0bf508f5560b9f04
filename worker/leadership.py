"""Which replica relays and sweeps: the one that holds the lease."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from worker.errors import StoreUnavailable
from worker.store import Hold, Store

LEASE: Final = "leader"


class Leadership:
    """Holds the lease while it can. `leads()` is true only while the lease surely lasts."""

    def __init__(
        self, store: Store, *, owner: str, lease_seconds: float, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease_seconds
        self._now = now
        self._until = 0.0

    def leads(self) -> bool:
        """Whether this replica may relay and sweep now."""
        return self._now() < self._until

    async def run(self) -> None:
        """Take and extend the lease for ever."""
        while True:
            await self.try_to_lead()
            await asyncio.sleep(self._lease / 3)

    async def let_go(self) -> None:
        """Give the lease up, so that another replica need not wait for its end."""
        self._until = 0.0
        with contextlib.suppress(StoreUnavailable):  # then it ends by itself
            await self._store.let_go(self._owner)

    async def try_to_lead(self) -> None:
        """Ask for the lease once."""
        led, now = self.leads(), self._now()
        until = now + self._lease
        try:
            held = await self._store.hold(Hold(name=LEASE, owner=self._owner, now=now, until=until))
        except StoreUnavailable:
            return  # what is held lasts until its end
        self._until = until if held else 0.0
        if held != led:
            structlog.get_logger().info("leadership", leads=held, owner=self._owner)
