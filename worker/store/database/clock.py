"""One clock for all who share a database.

Leases, and what is measured from them, are compared by replicas whose machines may not agree on
the time, and may change their minds about it. PostgreSQL's clock is the same for all of them.
SQLite serves one process, whose machine's clock will do.
"""

import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from worker.store.database.schema import UNFINISHED, inbox

CLOCK_READ_INTERVAL_SECONDS: Final = 10.0
"""So long the machine's monotonic clock is trusted to keep the pace of the database's."""


MIN_JUMP_SECONDS: Final = 1.0


class MachineClock:
    """This machine's clock, which somebody may set, beside `ticks`, which nobody can.

    After a jump, calls whose answers were lost are as old as before: else one could be made again
    before it has had the time to come to light.
    """

    def __init__(self, now: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._now = now
        self._ticks = ticks
        self._apart = self._seen = now() - ticks()

    def on_begin(self, connection: sa.Connection) -> None:
        """Move what has to keep its age, when the clock has jumped since the last commit."""
        self._seen = self._now() - self._ticks()
        jump = self._seen - self._apart
        if abs(jump) >= MIN_JUMP_SECONDS:
            connection.execute(
                sa.update(inbox)
                .where(UNFINISHED, inbox.c.last_called_at.is_not(None))
                .values(last_called_at=inbox.c.last_called_at + jump)
            )

    def on_commit(self) -> None:
        """What the last look moved is committed."""
        self._apart = self._seen


class DatabaseClock:
    """Seconds since the epoch as the database counts them; a call costs no exchange with it.

    Never read before the first `on_begin`.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        # Time and tick belong together: both are replaced at once, by another thread.
        self._read: tuple[float, float] | None = None

    def now(self) -> float:
        """What the database's clock shows now, within the time that one exchange takes."""
        assert self._read is not None  # noqa: S101 - a store is only opened after a look
        shown, tick = self._read
        return shown + self._ticks() - tick

    def on_begin(self, connection: sa.Connection) -> None:
        """Read the database's clock, when the last time was some seconds ago."""
        if self._read is not None and self._ticks() - self._read[1] < CLOCK_READ_INTERVAL_SECONDS:
            return
        shown = connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp())))
        self._read = (float(shown.scalar_one()), self._ticks())
