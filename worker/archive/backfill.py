"""Queues files that were announced while no archive was on, as long as their URLs are valid.

It looks once when the replica becomes the leader, and then every hour: while a rolling update
switches the archive on, replicas without it still announce files.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

import structlog

from worker.archive.unforeseen import log_unforeseen
from worker.domain.errors import StoreUnavailable
from worker.store.archive_backfill import MAX_RECORDINGS, BackfillRequest, FileCursor
from worker.store.archive_store import ArchiveStore

INTERVAL_SECONDS: Final = 3_600.0
LEADER_CHECK_SECONDS: Final = 5.0
STEP_PAUSE_SECONDS: Final = 0.1
"""The pause between two steps, so that other requests are committed in between."""

MAX_NAMED: Final = 20
"""So many recordings are named in a log line."""


class Backfill:
    """Queues what the archive missed, while this replica is the leader."""

    def __init__(
        self,
        store: ArchiveStore,
        *,
        now: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._now = now
        self._ticks = ticks
        self._sleep = sleep

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Look for missed files, forever. An error is logged, and ends one look."""
        due_at = float("-inf")
        while True:
            if is_leader() and self._ticks() >= due_at:
                due_at = self._ticks() + INTERVAL_SECONDS
                try:
                    await self.look_once(is_leader)
                except StoreUnavailable as error:
                    structlog.get_logger().warning("archive_backfill_failed", reason=str(error))
                except Exception as error:  # noqa: BLE001 - see `log_unforeseen`
                    log_unforeseen("archive_backfill_broke", error)
            await self._sleep(LEADER_CHECK_SECONDS)

    async def look_once(self, is_leader: Callable[[], bool] = lambda: True) -> None:
        """Queue all missed files whose URLs have not expired."""
        queued, unknown = 0, list[str]()
        cursor: FileCursor | None = FileCursor(self._now())
        while cursor is not None and is_leader():
            page = await self._store.find_unqueued(cursor)
            for some in _batches(page.recording_ids):
                result = await self._store.queue_announced(BackfillRequest(some, self._now()))
                queued += result.queued
                unknown += result.unknown
                await self._sleep(STEP_PAUSE_SECONDS)
            cursor = page.next
            await self._sleep(STEP_PAUSE_SECONDS)
        if queued:
            structlog.get_logger().info("earlier_files_queued", files=queued)
        if unknown:
            structlog.get_logger().warning(
                "earlier_files_not_queued",
                recordings=len(unknown),
                first_ids=unknown[:MAX_NAMED],
            )


def _batches(ids: Sequence[str]) -> list[tuple[str, ...]]:
    rest = iter(ids)
    return list(iter(lambda: tuple(islice(rest, MAX_RECORDINGS)), ()))
