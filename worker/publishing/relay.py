"""Moves committed events from the outbox to the broker.

An event is published at least once: it counts as sent only after the broker's confirmation is
committed. A crash between the two publishes the event again, with the same id.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.publishing.event_publisher import EventPublisher
from worker.store.outbox import UnsentEvent
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

PAGE_SIZE: Final = 500
MAX_PAGES: Final = 20
"""How many pages one pass publishes at most. `flush` waits for the end of a pass."""

RESUME_INTERVAL_SECONDS: Final = 1.0
"""How often the relay checks whether deferred events are due."""


class OutboxRelay:
    """Publishes the outbox. Call `wake` after a commit that may have added events.

    With `replies` it publishes the replies, else all other events. The publisher of a command
    chooses the address of the reply, so replies have a relay and a connection of their own.

    `now` is in epoch seconds. Without a wake-up the relay reads the outbox every
    `idle_interval_seconds`. It reads `page_size` events at once.
    """

    def __init__(
        self,
        store: Store,
        events: EventPublisher,
        *,
        now: Callable[[], float],
        replies: bool = False,
        idle_interval_seconds: float = 1.0,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._store = store
        self._events = events
        self._page_size = page_size
        self._now = now
        self._replies = replies
        self._resumed_at = -math.inf
        self._idle_interval_seconds = idle_interval_seconds
        self._is_leader: Callable[[], bool] = lambda: True
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()

    def wake(self) -> None:
        """Read the outbox now, because events may have been committed."""
        self._woken.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Publish again and again while this replica is the leader."""
        self._is_leader = is_leader
        while True:
            self._woken.clear()
            if not (is_leader() and await self.publish_pending()):
                await wait_until_set(self._woken, self._idle_interval_seconds)

    async def flush(self) -> None:
        """Publish everything that is committed by now, as far as the broker confirms it."""
        now = self._now()
        while await self.publish_pending(until=now):
            pass

    async def publish_pending(self, *, until: float = math.inf) -> bool:
        """Make one pass through the outbox. Returns whether another pass may find more at once.

        Stops at the first page whose oldest event was committed after `until` (epoch seconds).
        """
        # `flush` runs beside `run`. Without the lock both would read the same events as unsent.
        async with self._lock:
            try:
                return await self._publish_pages(until)
            except StoreUnavailable as error:
                structlog.get_logger().warning("outbox_relay_failed", reason=str(error))
                return False

    async def _publish_pages(self, until: float) -> bool:
        marks = PageMarks()
        published = deferred = 0
        has_more = False
        for _ in range(MAX_PAGES):
            page = await self._read_page(marks)
            marks = PageMarks()
            if not (has_more := bool(page) and page[0].created_at <= until):
                break
            result = await self._events.publish(page, self._is_leader)
            marks = result.marks
            published += len(marks.sent)
            deferred += len(marks.deferred)
            if not (has_more := self._is_leader() and not result.is_unavailable):
                break
        if marks:
            await self._store.mark_page(marks, self._now())
        if published or deferred:
            structlog.get_logger().info("outbox_relayed", published=published, deferred=deferred)
        return has_more

    async def _read_page(self, marks: PageMarks) -> list[UnsentEvent]:
        """Mark the events of the last page, and read the next page."""
        now = self._now()
        resume = not self._resumed_at <= now < self._resumed_at + RESUME_INTERVAL_SECONDS
        page = await self._store.unsent(
            self._page_size, marks=marks, now=now, replies=self._replies, resume=resume
        )
        if resume:
            self._resumed_at = now
        return page
