"""Removes the parts that uploads of dead processes left in the storage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from worker.archive.errors import ArchiveError
from worker.archive.storage import ArchiveStorage
from worker.archive.unexpected import log_unexpected
from worker.domain.times import utc

MAX_UPLOAD_SECONDS: Final = 2 * 86_400.0
"""No upload takes this long, so an older one was abandoned."""

MAX_CLOCK_DIFFERENCE_SECONDS: Final = 3_600.0

FIRST_AFTER_SECONDS: Final = 300.0
INTERVAL_SECONDS: Final = 86_400.0


class AbandonedUploads:
    """Aborts uploads that no process will finish. An error is logged, and never stops a copy."""

    def __init__(
        self,
        storage: ArchiveStorage,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._storage = storage
        self._now = now
        self._sleep = sleep

    async def remove_of(self, key: str) -> None:
        """Remove earlier uploads of one object. Only the caller may upload it now."""
        # The storage's clock decides when an upload began.
        await self._remove(self._now() + MAX_CLOCK_DIFFERENCE_SECONDS, key)

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Five minutes after the start and then every day, remove the old uploads of all objects.

        They may belong to files that were given up, which are not copied again.
        """
        await self._sleep(FIRST_AFTER_SECONDS)
        while True:
            try:
                if is_leader():
                    await self._remove(self._now() - MAX_UPLOAD_SECONDS, None)
            except Exception as error:  # noqa: BLE001 - see `log_unexpected`
                log_unexpected("abandoned_uploads_failed_unexpectedly", error)
            await self._sleep(INTERVAL_SECONDS)

    async def _remove(self, started_before: float, key: str | None) -> None:
        try:
            count = await self._storage.abort_abandoned(started_before=utc(started_before), key=key)
        except ArchiveError as error:
            structlog.get_logger().warning(
                "abandoned_uploads_kept", key=key, code=error.code, reason=error.message
            )
            return
        if count:
            structlog.get_logger().info("abandoned_uploads_removed", key=key, uploads=count)
