"""One clock for all who share a database.

Replicas compare leases and other times, but the clocks of their machines may differ or jump.
PostgreSQL's clock is the same for all of them. SQLite serves one process, so its machine's clock is
enough.

Both clocks take part in every transaction. Some transactions run at the same time.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import sqlalchemy as sa

from worker.store.database.direct import DirectStatement, Rows
from worker.store.database.schema import UNFINISHED, inbox
from worker.store.database.submissions import LateResult

CLOCK_READ_INTERVAL_SECONDS: Final = 10.0
"""For this long, the machine's monotonic clock is assumed to run as fast as the database's clock.
"""

MIN_JUMP_SECONDS: Final = 0.2
"""A smaller difference is drift, not a jump. A start finds its recording although its call seems up
to a quarter of a second later than it was (`call_time.READING_TOLERANCE`)."""


def boottime() -> float:
    """A clock that cannot be set, and that also counts while the machine is suspended.

    Without such a clock it is the monotonic one. Seconds since an arbitrary moment.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class TransactionClock(Protocol):
    """A clock that takes part in every transaction, in the store's thread."""

    def on_begin(self, connection: sa.Connection) -> Callable[[], None]:
        """Called first in every transaction. May read and write. Returns a function to call
        after the commit."""


class MachineClock:
    """Notices jumps of this machine's clock, by `ticks`, a clock that cannot be set.

    A start whose answer was lost may call again after it has settled. A jump forward would end that
    wait early, and the start could lead to two recordings; a jump back would prolong it by the jump
    (docs/adr/0022). Therefore such calls keep their age: their times jump with the clock.
    """

    def __init__(self, now: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._now = now
        self._ticks = ticks
        self._offset = now() - ticks()

    def on_begin(self, connection: sa.Connection) -> Callable[[], None]:
        """Move the times of unsettled calls, if the clock has jumped since the last commit. A move
        that is rolled back is done again."""
        now = self._now()
        offset = now - self._ticks()
        jump = offset - self._offset
        if abs(jump) >= MIN_JUMP_SECONDS:
            connection.execute(
                sa.update(inbox)
                .where(UNFINISHED, inbox.c.last_called_at.is_not(None))
                .values(
                    called_at=_moved(inbox.c.called_at, jump, now),
                    last_called_at=_moved(inbox.c.last_called_at, jump, now),
                )
            )

        return partial(self._remember, offset)

    def _remember(self, offset: float) -> None:
        self._offset = offset


def _moved(at: sa.Column[float], jump: float, now: float) -> sa.ColumnElement[float]:
    """The time after the jump. One that the clock had not reached before it stays as it is: an
    earlier process has written it, before the clock was set back."""
    return sa.case((at <= now - jump, at + jump), else_=at)


class DatabaseClock:
    """The database's clock in seconds since the epoch. `now` needs no round trip.

    A suspended machine or a paused one may not notice how long that took. So every transaction asks
    the database, together with its other statements, and after the commit `now` is not behind the
    answer. A clock that was set back is noticed after CLOCK_READ_INTERVAL_SECONDS.

    Call `now` only after the first transaction has begun.
    """

    def __init__(self) -> None:
        # Time and tick belong together, so the store's thread replaces both at once.
        self._reading: tuple[float, float] | None = None

    def now(self) -> float:
        """The present time of the database's clock, with an error of at most one round trip."""
        assert self._reading is not None  # noqa: S101 - opening a store begins a transaction
        database_time, tick = self._reading
        return database_time + time.monotonic() - tick

    def on_begin(self, connection: sa.Connection) -> Callable[[], None]:
        """Ask the database's clock: at once, if the last reading is some seconds old."""
        asked = LateResult(_TIME.later_rows(connection, {}), _time_in)
        reading = self._reading
        if reading is None or time.monotonic() - reading[1] >= CLOCK_READ_INTERVAL_SECONDS:
            self._reading = (asked.get(), time.monotonic())
        return partial(self._move_forward, asked)

    def _move_forward(self, asked: LateResult[float]) -> None:
        """Set `now` to at least the time that the database reported in the transaction."""
        if (time_then := asked.get()) > self.now():
            self._reading = (time_then, time.monotonic())


def _time_in(rows: Rows) -> float:
    return float(rows[0][0])


_TIME: Final = DirectStatement(sa.select(sa.extract("epoch", sa.func.clock_timestamp())))
