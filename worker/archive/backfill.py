"""Queues files that were announced while no archive was on, while their URLs are valid.

The leader searches at most once an hour: first for all files, later for new ones. While a rolling
update switches the archive on, replicas without it still announce files.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

import structlog

from worker.archive.unexpected import log_unexpected
from worker.domain.errors import StoreUnavailable
from worker.store.archive_backfill import (
    MAX_RECORDINGS,
    BackfillRequest,
    FileCursor,
    RecordingCursor,
)
from worker.store.archive_intake import URL_LIFE_SECONDS
from worker.store.archive_store import ArchiveStore

INTERVAL_SECONDS: Final = 3_600.0
LEADER_CHECK_SECONDS: Final = 5.0
STEP_PAUSE_SECONDS: Final = 0.1
"""The pause between two steps, so that other requests can commit."""

OVERLAP_SECONDS: Final = 3_600.0
"""The overlap of two searches: an observation may have been committed late, or with the clock of
another replica."""

MAX_NAMED: Final = 20
"""A log line names at most this many recordings."""


class Backfill:
    """Queues the files that the archive missed, while this replica is the leader."""

    def __init__(
        self,
        store: ArchiveStore,
        *,
        now: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._now = now
        self._ticks = ticks
        self._sleep = sleep
        self._searched_at: float | None = None
        """When the last complete search began. None: older files may be missing."""

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Search for missed files, forever. An error is logged, and ends one search."""
        due_at = float("-inf")
        while True:
            if not is_leader():
                self._searched_at = None
            elif self._ticks() >= due_at:
                due_at = self._ticks() + INTERVAL_SECONDS
                try:
                    await self.search_once(is_leader)
                except StoreUnavailable as error:
                    structlog.get_logger().warning("archive_backfill_failed", reason=str(error))
                except Exception as error:  # noqa: BLE001 - see `log_unexpected`
                    log_unexpected("archive_backfill_failed_unexpectedly", error)
            await self._sleep(LEADER_CHECK_SECONDS)

    async def search_once(self, is_leader: Callable[[], bool] = lambda: True) -> None:
        """Queue all missed files whose URLs have not expired, or those since the last search."""
        now, found = self._now(), _Found()
        cursors = list(self._first_cursors(now))
        while cursors and is_leader():
            page = await self._store.find_unqueued(cursors[0])
            await self._queue(page.recording_ids, found)
            cursors[:1] = [] if page.next is None else [page.next]
            await self._sleep(STEP_PAUSE_SECONDS)
        if not cursors:
            self._searched_at = now
        found.log()

    async def _queue(self, recording_ids: Sequence[str], found: "_Found") -> None:
        for batch in _batches(recording_ids):
            result = await self._store.queue_announced(BackfillRequest(batch, self._now()))
            found.queued += result.queued
            found.unknown += result.unknown
            await self._sleep(STEP_PAUSE_SECONDS)

    def _first_cursors(self, now: float) -> tuple[FileCursor | RecordingCursor, ...]:
        """Where a search begins. The first one goes back for as long as the API keeps files."""
        if self._searched_at is None:
            return FileCursor(now), RecordingCursor(now - URL_LIFE_SECONDS)
        # The clock may have been far ahead at the last search.
        since = min(self._searched_at, now) - OVERLAP_SECONDS
        return FileCursor(now, found_after=since), RecordingCursor(since)


class _Found:
    """The result of one search."""

    def __init__(self) -> None:
        self.queued = 0
        self.unknown: list[str] = []

    def log(self) -> None:
        """Log how many files were queued, and which recordings' events are not kept."""
        if self.queued:
            structlog.get_logger().info("earlier_files_queued", files=self.queued)
        if self.unknown:
            structlog.get_logger().warning(
                "earlier_files_not_queued",
                recordings=len(self.unknown),
                first_ids=self.unknown[:MAX_NAMED],
            )


def _batches(ids: Sequence[str]) -> list[tuple[str, ...]]:
    rest = iter(ids)
    return list(iter(lambda: tuple(islice(rest, MAX_RECORDINGS)), ()))
