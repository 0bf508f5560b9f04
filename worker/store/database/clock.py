"""One clock for everybody who shares a database.

Replicas compare leases and other times, but the clocks of their machines may differ or jump.
PostgreSQL's clock is the same for all of them. SQLite serves one process, so its machine's clock is
enough.

Both clocks are called at the begin and after the commit of every transaction.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import sqlalchemy as sa

from worker.store.database.schema import UNFINISHED, inbox

CLOCK_READ_INTERVAL_SECONDS: Final = 10.0
"""For this long, the machine's monotonic clock is assumed to run as fast as the database's clock.
"""

MIN_JUMP_SECONDS: Final = 1.0
"""A smaller difference is drift, not a jump."""


def boottime() -> float:
    """A clock that nobody can set, and that also counts while the machine is suspended.

    Without such a clock it is the monotonic one. Seconds since an arbitrary moment.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class TransactionClock(Protocol):
    """A clock that takes part in every transaction, in the store's thread."""

    def on_begin(self, connection: sa.Connection) -> None:
        """Called first in every transaction. May read and write."""

    def on_commit(self) -> None:
        """Called after every transaction that was committed."""


class MachineClock:
    """Notices jumps of this machine's clock, by `ticks`, a clock that nobody can set.

    A start whose answer was lost may call again after it has settled. A jump forward would end that
    wait early, and the start could lead to two recordings; a jump back would prolong it by the jump
    (docs/adr/0022). Therefore such calls keep their age: their times jump with the clock.
    """

    def __init__(self, now: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._now = now
        self._ticks = ticks
        self._offset = self._seen_offset = now() - ticks()

    def on_begin(self, connection: sa.Connection) -> None:
        """Move the times of unsettled calls, if the clock has jumped since the last commit."""
        self._seen_offset = self._now() - self._ticks()
        jump = self._seen_offset - self._offset
        if abs(jump) >= MIN_JUMP_SECONDS:
            connection.execute(
                sa.update(inbox)
                .where(UNFINISHED, inbox.c.last_called_at.is_not(None))
                .values(
                    called_at=inbox.c.called_at + jump,
                    last_called_at=inbox.c.last_called_at + jump,
                )
            )

    def on_commit(self) -> None:
        """Remember that the times are moved. A rolled-back move is done again."""
        self._offset = self._seen_offset


class DatabaseClock:
    """The database's clock in seconds since the epoch. `now` needs no round trip.

    Call `now` only after the first transaction has begun.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        # Time and tick belong together, so the store's thread replaces both at once.
        self._reading: tuple[float, float] | None = None

    def now(self) -> float:
        """The present time of the database's clock, with an error of at most one round trip."""
        assert self._reading is not None  # noqa: S101 - opening a store begins a transaction
        database_time, tick = self._reading
        return database_time + self._ticks() - tick

    def on_begin(self, connection: sa.Connection) -> None:
        """Read the database's clock, if the last reading is some seconds old."""
        reading = self._reading
        if reading is not None and self._ticks() - reading[1] < CLOCK_READ_INTERVAL_SECONDS:
            return
        row = connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp())))
        self._reading = (float(row.scalar_one()), self._ticks())

    def on_commit(self) -> None:
        """Nothing to do, because a reading stays true if the transaction is rolled back."""
