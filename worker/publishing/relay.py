"""Moves committed events from the outbox to the broker.

An event is published at least once: it counts as sent only after the broker's confirmation is
committed. A crash between the two publishes the event again, with the same id.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.failure_policy import MAX_REFUSAL_DELAY_SECONDS
from worker.store.outbox_marks import PageMarks
from worker.store.repeated_warning import RepeatedWarning
from worker.store.store import Store
from worker.store.unsent_events import UnsentEvent

PAGE_SIZE: Final = 500
MAX_PAGES: Final = 20
"""How many pages one pass publishes at most. `flush` waits for the end of a pass."""

RESUME_INTERVAL_SECONDS: Final = 1.0
"""How often the relay checks whether deferred events are due."""

TRY_INTERVAL_SECONDS: Final = 10.0
"""How often the relay checks for destinations for which no refused event is tried soon.

With 100,000 refused events, the check takes SQLite 0.2 s."""

MARK_DELAY_SECONDS: Final = 0.2
"""Confirmed events are marked with the next page, at the latest after this time. A crash meanwhile
publishes them again."""

LOG_INTERVAL_SECONDS: Final = 1.0
"""Passes are logged together, because each command may need one."""


class OutboxRelay:
    """Publishes the outbox. Call `wake` after a commit that may have added events.

    With `replies` it publishes the replies, else all other events. The publisher of a command
    chooses the address of the reply, so replies have a separate relay and connection.

    `now` is in epoch seconds. While `run` waits, the next page is read by the transaction that adds
    its events. Without a wake-up the relay reads the outbox every `idle_interval_seconds`. It reads
    `page_size` events at once.
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
        self._is_running = False
        self._try_checked_at = -math.inf
        self._is_broker_available = True
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()
        self._next_page: asyncio.Future[list[UnsentEvent]] | None = None
        self._marks = PageMarks()
        self._log = _RelayLog(now)
        self._warning = RepeatedWarning("outbox_relay_failed")

    def wake(self) -> None:
        """Read the outbox now, because events may have been committed."""
        self._woken.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Publish in a loop while this replica is the leader."""
        self._is_leader, self._is_running = is_leader, True
        while True:
            self._woken.clear()
            if not is_leader():
                await self._end_leading()
            elif await self.publish_pending():
                continue
            await self._wait()

    async def flush(self) -> None:
        """Publish everything that is committed by now, if the broker confirms it."""
        self._is_running = False
        now = self._now()
        while await self.publish_pending(until=now):
            pass

    async def publish_pending(self, *, until: float = math.inf) -> bool:
        """Make one pass through the outbox. Returns whether another pass may find more at once.

        Stops at the first page whose oldest event was committed after `until` (epoch seconds).
        """
        # `flush` may run during `run`. Without the lock both would read the same events as unsent.
        async with self._lock:
            try:
                may_find_more = await self._publish_pages(until)
            except StoreUnavailable as error:
                self._warning.failed(str(error))
                return False
            self._warning.worked()
            return may_find_more

    async def _wait(self) -> None:
        """Wait for a page, a wake-up, or the time to read the outbox or to mark events."""
        if self._is_leader() and not self._woken.is_set():
            self._next_page = self._store.next_unsent(
                self._page_size, marks=self._marks, now=self._now(), replies=self._replies
            )
            self._next_page.add_done_callback(self._on_next_page)
        longest = MARK_DELAY_SECONDS if self._marks else math.inf
        await wait_until_set(self._woken, min(self._idle_interval_seconds, longest))

    def _on_next_page(self, page: asyncio.Future[list[UnsentEvent]]) -> None:
        if not page.cancelled():  # a withdrawn page is no reason to read the outbox
            self._woken.set()

    async def _end_leading(self) -> None:
        """Mark published events, and drop the page that a commit has read: another replica may
        have published it since."""
        self._try_checked_at = -math.inf
        async with self._lock:
            self._take_next_page()
            self._marks = _without_deferrals(self._marks)
            with suppress(StoreUnavailable):  # then the new leader publishes the events again
                await self._mark()

    async def _publish_pages(self, until: float) -> bool:
        page = self._take_next_page()
        if page is None or self._is_resume_due() or until < math.inf:
            page = await self._read_page()
        for _ in range(MAX_PAGES):
            has_more = bool(page) and page[0].created_at <= until
            if not has_more:
                break
            is_unavailable = await self._publish(page)
            has_more = self._is_leader() and not is_unavailable
            if has_more and self._may_mark_later(page):
                self._log.write_if_due()
                return False
            if not has_more:
                break
            page = await self._read_page()
        await self._mark()
        self._log.write()
        return has_more

    async def _publish(self, page: Sequence[UnsentEvent]) -> bool:
        """Publish the page, and keep its marks. Returns whether the broker is unavailable."""
        result = await self._events.publish(page, self._is_leader)
        self._marks = result.marks if self._is_leader() else _without_deferrals(result.marks)
        self._is_broker_available = not result.is_unavailable
        self._log.add(result.marks)
        return result.is_unavailable

    def _may_mark_later(self, page: Sequence[UnsentEvent]) -> bool:
        """Whether the page was the last one, and its marks can wait for the next one. If the
        broker did not accept an event, they cannot, because it would be read again."""
        is_last = len(page) < self._page_size
        return is_last and self._is_running and len(self._marks.sent) == len(page)

    def _take_next_page(self) -> list[UnsentEvent] | None:
        """The page that a commit has read, if any. After this no commit reads one."""
        page, self._next_page = self._next_page, None
        if page is None or page.cancel():
            return None
        self._marks = PageMarks()  # marked when the page was read
        return page.result()

    def _is_resume_due(self) -> bool:
        return not self._resumed_at <= self._now() < self._resumed_at + RESUME_INTERVAL_SECONDS

    def _is_try_check_due(self) -> bool:
        """While the broker is unavailable, events that try stay ready, and no others are needed."""
        checked_at = self._try_checked_at
        is_recent = checked_at <= self._now() < checked_at + TRY_INTERVAL_SECONDS
        return self._is_broker_available and not is_recent

    async def _read_page(self) -> list[UnsentEvent]:
        """Mark the events of the last page, and read the next page."""
        now, resume, checks = self._now(), self._is_resume_due(), self._is_try_check_due()
        page = await self._store.unsent(
            self._page_size,
            marks=self._marks,
            now=now,
            replies=self._replies,
            resume=resume,
            next_try_by=now + MAX_REFUSAL_DELAY_SECONDS if checks else None,
        )
        self._marks = PageMarks()
        if resume:
            self._resumed_at = now
        if checks:
            self._try_checked_at = now
        self._is_broker_available |= not page  # nothing waits for it
        return page

    async def _mark(self) -> None:
        if self._marks:
            await self._store.mark_page(self._marks, self._now())
            self._marks = PageMarks()


def _without_deferrals(marks: PageMarks) -> PageMarks:
    """The marks that a replica may write when it no longer leads. The new leader decides when to
    publish the other events again."""
    return PageMarks(sent=marks.sent, released=marks.released)


class _RelayLog:
    """Logs how many events were published or deferred: when the outbox is empty, or once a
    second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._written_at = -math.inf
        self._published = self._deferred = 0

    def add(self, marks: PageMarks) -> None:
        """Count the events of one page."""
        self._published += len(marks.sent)
        self._deferred += len(marks.deferred)

    def write_if_due(self) -> None:
        """Write a line, unless the last one is younger than a second."""
        if not self._written_at <= self._now() < self._written_at + LOG_INTERVAL_SECONDS:
            self.write()

    def write(self) -> None:
        """Write a line if events were published or deferred since the last one."""
        if self._published or self._deferred:
            structlog.get_logger().info(
                "outbox_relayed", published=self._published, deferred=self._deferred
            )
            self._written_at, self._published, self._deferred = self._now(), 0, 0
