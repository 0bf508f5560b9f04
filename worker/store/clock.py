"""One clock for all who share a database.

Leases, and what is measured from them, are compared by replicas whose machines may not agree on
the time, and may change their minds about it. PostgreSQL's clock is the same for all of them.
SQLite serves one process, whose machine's clock will do.
"""

import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

READ_AGAIN_SECONDS: Final = 10.0
"""So long the machine's monotonic clock is trusted to keep the pace of the database's."""


class DatabaseClock:
    """Seconds since the epoch as the database counts them; a call costs no exchange with it.

    Never read before the first `look`.
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

    def look(self, connection: sa.Connection) -> None:
        """Read the database's clock, when the last time was some seconds ago."""
        if self._read is not None and self._ticks() - self._read[1] < READ_AGAIN_SECONDS:
            return
        shown = connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp())))
        self._read = (float(shown.scalar_one()), self._ticks())
