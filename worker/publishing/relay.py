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
from worker.store.store import Store

PAGE_SIZE: Final = 500
MAX_PAGES: Final = 20
"""How many pages one pass reads at most, so that it gets past events that the broker refuses."""


class OutboxRelay:
    """Publishes the outbox. Call `wake` after a commit that may have added events.

    `now` is in epoch seconds. Without a wake-up the relay looks every `idle_interval_seconds`.
    """

    def __init__(
        self,
        store: Store,
        events: EventPublisher,
        *,
        now: Callable[[], float],
        idle_interval_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._events = events
        self._now = now
        self._idle_interval_seconds = idle_interval_seconds
        self._is_leader: Callable[[], bool] = lambda: True
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()

    def wake(self) -> None:
        """Look into the outbox now, because something was committed."""
        self._woken.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Publish for ever, while this replica is the leader."""
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
        blocked: set[str] = set()
        confirmed: list[int] = []
        published = position = 0
        more = False
        for _ in range(MAX_PAGES):
            # Blocked events stay unsent, so the store holds back later events of their subjects.
            page = await self._store.unsent(
                PAGE_SIZE, after=position, sent=confirmed, now=self._now()
            )
            confirmed = []
            if not (more := bool(page) and page[0].created_at <= until):
                break
            position = page[-1].position
            sent = await self._events.publish(page, self._is_leader)
            confirmed = [event.position for event in sent]
            published += len(sent)
            done = set(confirmed)
            blocked |= {event.subject for event in page if event.position not in done}
            if not (more := self._is_leader() and self._events.is_ready):
                break
        if confirmed:
            await self._store.mark_sent(confirmed, self._now())
        if published or blocked:
            structlog.get_logger().info("outbox_relayed", published=published, blocked=len(blocked))
        return more and not blocked
