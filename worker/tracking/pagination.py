"""Reads long lists that change while they are read.

Live recordings are listed oldest first and read from the last page to the first. A recording that
ends moves later ones towards pages that are still to be read. A recording that begins is added at
the end, and a list that was requested earlier need not have it. So no recording that stays live is
skipped, if the API sorts as requested. The API does not guarantee that. Therefore a recording that
is missing from the list must be read before it counts as ended.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal

from recording_schemas import Status
from worker.domain.errors import RefusedForNow, Throttled, Unanswered, Unauthorized
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient
from worker.realtimekit.models import RecordingPage

MAX_PAGES: Final = 10_000
"""The iterator reads at most this many pages, however many the API claims to have."""

MAX_REPEATED_PAGES: Final = 20
"""The iterator ignores the page numbers after this many pages without a new recording. Fewer may
result from recordings that ended meanwhile."""

LONG_LIST_PAGES: Final = 10
"""After more requests than this, a failed one is repeated. A long list takes minutes to read,
and missing recordings are known only at its end."""

REPEAT_DELAYS_SECONDS: Final = (1.0, 5.0)
MAX_REPEAT_DELAY_SECONDS: Final = max(REPEAT_DELAYS_SECONDS)

Order = Literal["ASC", "DESC"]


class PageIterator:
    """Reads a list of recordings once, page by page, in the order that misses the fewest.

    `guess` is the presumed number of the last page, which is requested first. Afterwards `last` is
    that number, `requests` is how many requests were made, and `newest` is when the newest
    recording on any page was invoked.
    """

    def __init__(
        self,
        api: RealtimeKitClient,
        *,
        statuses: Sequence[Status] = (),
        guess: int = 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._sleep = sleep
        self._statuses = tuple(statuses)
        self._known: set[str] = set()
        self.last = max(guess, 1)
        self.requests = 0
        self.newest: datetime | None = None

    async def oldest_first(self) -> AsyncIterator[RecordingPage]:
        """Request the list oldest first; yields all pages from the last to the first."""
        page = await self._page(self.last, "ASC")
        if not page.recordings and self.last > 1:  # the list has become shorter
            self.last, page = 1, await self._page(1, "ASC")
        if is_last(page, self.last):
            pages = self._downwards(self.last, page)
        elif (number := _last_page_number(page)) is not None and number > self.last:
            pages = self._downwards(number, None, length=_length(page))
        else:
            pages = self._upwards(await self._page(1, "ASC"), "ASC")
        async for listed_page in pages:
            yield listed_page

    async def newest_first(self) -> AsyncIterator[RecordingPage]:
        """Yield all pages, the newest recordings first, even if the API lists the oldest first.

        A recording that begins meanwhile moves others to pages that are still to be read.
        """
        page = await self._page(1, "DESC")
        if _is_ascending(page) and not is_last(page):
            async for older_page in self.oldest_first():
                yield older_page
            return
        async for newer_page in self._upwards(page, "DESC"):
            yield newer_page

    async def _downwards(
        self, start: int, start_page: RecordingPage | None, *, length: int = 0
    ) -> AsyncIterator[RecordingPage]:
        """Yield the pages from number `start` to 1, then upwards if the numbers prove wrong.

        `start_page` is page `start` if it was just read. `length` is the length of a full page if
        known.
        """
        self.last, repeated_pages = 1, 0
        for number in range(start, 0, -1):
            page = start_page if start_page and number == start else await self._page(number, "ASC")
            # The last page may be short, so it does not show the length of a full one.
            if number < start and not is_last(page, number):
                length = max(length, _length(page))
            if page.recordings:
                self.last = max(self.last, number)
                yield page
            if self._has_new_recording(page) or number == 1:
                continue
            repeated_pages += 1
            if (
                _lacks_recordings(page, number, length)
                or repeated_pages >= MAX_REPEATED_PAGES
                or await self._is_first(page)
            ):
                async for upper_page in self._upwards(await self._page(1, "ASC"), "ASC"):
                    yield upper_page
                return

    async def _upwards(self, first: RecordingPage, order: Order) -> AsyncIterator[RecordingPage]:
        """Yield page after page until a page has no new recording. The API's page counts are
        ignored."""
        page = first
        for number in range(2, MAX_PAGES):
            if not self._has_new_recording(page):
                return
            yield page
            self.last = number - 1
            if is_last(page, number - 1):
                return
            page = await self._page(number, order)

    async def _is_first(self, page: RecordingPage) -> bool:
        """Whether the API answers with this first page for every page number."""
        first = await self._page(1, "ASC")
        return _ids(first) == _ids(page)

    async def _page(self, number: int, order: Order) -> RecordingPage:
        page = await self._request_persistently(number, order)
        times = [self.newest, *(snapshot.invoked_time for snapshot in page.recordings)]
        self.newest = max((time for time in times if time is not None), default=None)
        return page

    async def _request_persistently(self, number: int, order: Order) -> RecordingPage:
        """Request a page. In a long list, repeat a request that the API has not answered.

        If the API asks for a pause, it is observed. If the pause is long, the next sweep reads the
        list.
        """
        for delay in REPEAT_DELAYS_SECONDS:
            try:
                return await self._request(number, order)
            except Unanswered as error:
                pause = max(delay, error.retry_after or 0.0)
                is_soon = pause <= MAX_REPEAT_DELAY_SECONDS
                if not _may_repeat(error) or not is_soon or self.requests <= LONG_LIST_PAGES:
                    raise
            await self._sleep(pause)
        return await self._request(number, order)

    async def _request(self, number: int, order: Order) -> RecordingPage:
        self.requests += 1
        return await self._api.list_recordings(
            statuses=self._statuses, page_no=number, per_page=PAGE_SIZE, sort_order=order
        )

    def _has_new_recording(self, page: RecordingPage) -> bool:
        """Whether the page has a recording that no page before it had."""
        before = len(self._known)
        self._known.update(_ids(page))
        return len(self._known) > before


def _may_repeat(error: Unanswered) -> bool:
    """Whether the same request may succeed in a few seconds. After a temporary refusal it would
    fail again, unless the API says when to try again."""
    if isinstance(error, RefusedForNow):
        return error.retry_after is not None
    return not isinstance(error, Throttled | Unauthorized)


def _last_page_number(page: RecordingPage) -> int | None:
    """The number of the last page, computed from the length of a full page that is not the last. A
    full page may be shorter than requested."""
    length = _length(page)
    if page.total_count is None or not length:
        return None
    number = -(-page.total_count // length)
    return number if number <= MAX_PAGES else None


def _lacks_recordings(page: RecordingPage, number: int, length: int) -> bool:
    """Whether an empty page should have had recordings, if full pages have `length` of them."""
    is_empty = not page.recordings and length > 0
    return is_empty and (page.total_count or 0) > (number - 1) * length


def _ids(page: RecordingPage) -> list[str]:
    return [snapshot.recording_id for snapshot in page.recordings]


def _length(page: RecordingPage) -> int:
    return len(page.recordings) + page.unreadable_count


def is_last(page: RecordingPage, number: int = 1) -> bool:
    """Whether the API reports that this is the last page. A short page does not prove it, because
    the API may limit the length of pages."""
    if page.total_count is None:
        return False
    if page.end_offset is not None:
        return page.end_offset >= page.total_count
    return number == 1 and _length(page) >= page.total_count


def _is_ascending(page: RecordingPage) -> bool:
    """Whether the oldest recordings come first."""
    times = [time for snapshot in page.recordings if (time := snapshot.invoked_time) is not None]
    return len(times) > 1 and times[0] < times[-1]


def oldest_invoked_time(page: RecordingPage) -> datetime | None:
    """When the oldest recording of the page was invoked, None if the API gives no times."""
    times = (snapshot.invoked_time for snapshot in page.recordings)
    return min((time for time in times if time), default=None)
