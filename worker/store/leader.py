"""Leader election: the replica that holds the lease relays and sweeps."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.store.leases import LEADER, LeaseRequest
from worker.store.store import Store

RETRY_INTERVAL_SECONDS: Final = 1.0
"""The pause after a failed attempt."""

WRITE_PROOF_SECONDS: Final = 15.0
"""After this long without a commit, about three attempts, the replica may be unable to write."""

NEVER: Final = float("-inf")


class LeaderElector:
    """Holds the lease as long as possible. `is_leader()` is true only while it certainly lasts.

    If this replica's session is lost, another one takes the lease over before its end, so the
    session must be proved as well (`replicas.py`).

    The lease is stored by `now`, the clock of all replicas. This replica measures its own lease by
    `ticks`, a clock that cannot be set.

    Every attempt writes, even if it does not get the lease. So attempts also prove to the readiness
    check that this replica can write to the database.
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
        self._replicas = store.replicas
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._now = now
        self._ticks = ticks
        self._until = NEVER
        self._generation = 0
        self._is_elected = False
        self._woken = asyncio.Event()
        self._proved_at = NEVER
        self._error: str | None = "nothing was written yet"

    def is_leader(self) -> bool:
        """Whether this replica may relay and sweep now."""
        replicas = self._replicas
        is_same = self._generation == replicas.generation
        return self._ticks() < self._until and is_same and replicas.is_proved()

    def cannot_write_reason(self) -> str | None:
        """Why this replica cannot write to the database, or may be unable to. None if it can."""
        if self._error is not None:
            return self._error
        silence = self._ticks() - self._proved_at
        return f"no commit for {silence:.0f} s" if silence > WRITE_PROOF_SECONDS else None

    def wake(self) -> None:
        """Try to acquire the lease at once, because another replica has released it."""
        self._woken.set()

    async def run(self) -> None:
        """Acquire and extend the lease, forever."""
        while True:
            self._woken.clear()
            await self.try_acquire()
            pause = self._lease_seconds / 3 if self._error is None else RETRY_INTERVAL_SECONDS
            await wait_until_set(self._woken, pause)

    async def release(self) -> None:
        """Release the lease, so that another replica need not wait until it ends."""
        self._until = NEVER
        with contextlib.suppress(StoreUnavailable):  # then the lease ends by itself
            await self._store.release_leases(self._owner)

    async def try_acquire(self) -> None:
        """Try once to acquire or extend the lease. If the store is down, the lease that this
        replica holds lasts until its end."""
        asked_at, now = self._ticks(), self._now()
        generation = self._replicas.generation
        request = LeaseRequest(
            name=LEADER, owner=self._owner, now=now, until=now + self._lease_seconds
        )
        try:
            held = await self._store.acquire_lease(request)
        except StoreUnavailable as error:
            self._error = str(error)
            return
        self._error, self._proved_at = None, self._ticks()
        has_lapsed = self._ticks() >= self._until
        self._until = asked_at + self._lease_seconds if held else NEVER
        self._generation = generation
        self._log_election(held=held, has_lapsed=has_lapsed)

    def _log_election(self, *, held: bool, has_lapsed: bool) -> None:
        """Log an election, or its end. After a new session the old lease goes on: no line."""
        if held and (has_lapsed or not self._is_elected):
            structlog.get_logger().info("leader_elected", owner=self._owner)
        elif self._is_elected and not held:
            structlog.get_logger().info("leader_lost", owner=self._owner)
        self._is_elected = held
