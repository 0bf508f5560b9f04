"""Notices a source that is too slow. It would occupy a place among the copies for days."""

from collections.abc import Callable
from typing import Final

from worker.archive.errors import SourceUnavailable

PERIOD_SECONDS: Final = 300.0
"""A source may be slow for less than this."""


class SourceRate:
    """Counts the bytes of a source, and the time that it takes for them.

    The time counts only while the copy waits for the source. So neither a slow storage nor the
    bandwidth limit of the replica makes a source slow. With 0 `bytes_per_second` no source is too
    slow.
    """

    def __init__(self, bytes_per_second: float, *, ticks: Callable[[], float]) -> None:
        self._least = bytes_per_second
        self._ticks = ticks
        self._began = 0.0
        self._waited = 0.0
        self._count = 0

    def begin(self) -> None:
        """Note that the copy begins to wait for the source."""
        self._began = self._ticks()

    def brought(self, count: int) -> None:
        """Note that the source sent bytes. Raises SourceUnavailable if it is too slow."""
        self._waited += self._ticks() - self._began
        self._count += count
        if self._waited < PERIOD_SECONDS:
            return
        rate = self._count / self._waited
        self._waited, self._count = 0.0, 0
        if rate < self._least:
            message = (
                f"the source brings {rate:.0f} bytes a second; at least {self._least} are expected "
                "(WORKER_ARCHIVE_MIN_BYTES_PER_SECOND)"
            )
            raise SourceUnavailable("source_slow", message)
