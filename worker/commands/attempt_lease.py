"""The lease of one attempt: whether this replica may still call the API for the command."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from worker.domain.errors import LeaseLost
from worker.store.database.clock import boottime
from worker.store.store import Store

SHARE_OF_LEASE: Final = 0.8
"""An attempt is cancelled well before another replica may take the command over."""

FRESH_SECONDS: Final = 0.05
"""During this time after its claim, an attempt calls without reading the claim again. A takeover
allows for a call that begins this much later."""

TAKEN_OVER: Final = "another replica has taken the command over"
"""The message of LeaseLost, if the store says so."""

MACHINE_CLOCKS: Final = (time.monotonic, time.time, boottime)


class AttemptLease:
    """Create this object before the claim, because the lease starts at the claim's commit.

    The process may be frozen at any moment. The machine may be suspended, which stops the monotonic
    clock. Therefore the clock that has moved the furthest counts: one of `clocks`, or `now`, which
    the claim's own transaction has compared with the database's clock. If any has moved by more
    than FRESH_SECONDS, the store is asked as well.
    """

    def __init__(
        self,
        store: Store,
        *,
        owner: str,
        now: Callable[[], float],
        lease_seconds: float,
        clocks: Sequence[Callable[[], float]] = MACHINE_CLOCKS,
    ) -> None:
        self._store = store
        self.owner = owner
        self._seconds = lease_seconds * SHARE_OF_LEASE
        self._clocks = (now, *clocks)
        self._began = [clock() for clock in self._clocks]

    def remaining(self) -> float:
        """The seconds that the attempt may still take. Raises LeaseLost if none are left."""
        remaining = self._seconds - max(
            # A list, because a generator costs more, and each command asks three times.
            [clock() - began for clock, began in zip(self._clocks, self._began, strict=True)]
        )
        if remaining <= 0:
            raise LeaseLost("lease_lost", "the attempt was interrupted for too long")
        return remaining

    async def confirm(self, command_id: str) -> None:
        """Return if the claim is younger than FRESH_SECONDS, or still stands in the store.

        Raises LeaseLost if another replica may have the command, and StoreUnavailable if the store
        fails.
        """
        if self.remaining() > self._seconds - FRESH_SECONDS:
            return
        if not await self._store.holds_command(command_id, self.owner, self._clocks[0]()):
            raise LeaseLost("lease_lost", TAKEN_OVER)
        self.remaining()
