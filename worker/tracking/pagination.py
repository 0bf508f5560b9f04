"""Reading long lists that change while they are read.

What is live is listed oldest first and read from the last page to the first. A recording that ends
moves those behind it towards pages that are still to be read; one that begins stands at the end,
and is not looked for in a list that was asked for before. So none that stays live is passed over,
as long as the API sorts as it is asked to. Nobody promises that it does: whoever reads a list must
ask for what is not on it before believing that it is gone.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, Literal

from recording_schemas import Status
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import RecordingPage

PER_PAGE: Final = 100
MOST_PAGES: Final = 10_000
"""However many there are said to be: a list has an end."""

MOST_DOUBTS: Final = 20
"""So many pages without anything new may have come about by what ended meanwhile."""

Order = Literal["ASC", "DESC"]


class PageIterator:
    """One reading of a list of recordings, page by page, in the order that hides the least.

    `guess` is the number of the last page as far as it is known, to be asked for first; `last` is
    that number once it was read. `newest` is when the newest recording on any page was invoked.
    """

    def __init__(
        self, api: RealtimeKitClient, *, statuses: Sequence[Status] = (), guess: int = 1
    ) -> None:
        self._api = api
        self._statuses = tuple(statuses)
        self._known: set[str] = set()
        self.last = max(guess, 1)
        self.asked = 0
        self.newest: datetime | None = None

    async def oldest_first(self) -> AsyncIterator[RecordingPage]:
        """All pages, those of the newest recordings first."""
        page = await self._page(self.last, "ASC")
        if not page.recordings and self.last > 1:  # the list has become shorter
            self.last, page = 1, await self._page(1, "ASC")
        if _is_last(page, self.last):
            walk = self._downwards(self.last, page)
        elif (number := _number_of_last(page)) is not None and number > self.last:
            walk = self._downwards(number, None, length=_length(page))
        else:
            walk = self._upwards(await self._page(1, "ASC"), "ASC")
        async for each in walk:
            yield each

    async def newest_first(self) -> AsyncIterator[RecordingPage]:
        """All pages, the newest recordings first, also if the API lists the oldest first.

        What begins meanwhile moves recordings to pages that are still to be read.
        """
        page = await self._page(1, "DESC")
        if _ascends(page) and not _is_last(page):
            async for each in self.oldest_first():
                yield each
            return
        async for each in self._upwards(page, "DESC"):
            yield each

    async def _downwards(
        self, start: int, page: RecordingPage | None, *, length: int = 0
    ) -> AsyncIterator[RecordingPage]:
        """From page `start` to the first. `page` is that one, if it was read just now; `length`
        that of a full page, if it is known."""
        self.last, doubts = 1, 0
        for number in range(start, 0, -1):
            page = page or await self._page(number, "ASC")
            if number < start:
                length = max(length, _length(page))
            if page.recordings:
                self.last = max(self.last, number)
                yield page
            if not self._is_news(page) and number > 1:
                doubts += MOST_DOUBTS if _misses_some(page, number, length) else 1
                if doubts >= MOST_DOUBTS or await self._is_first(page):
                    break
            page = None
        else:
            return
        async for each in self._upwards(await self._page(1, "ASC"), "ASC"):
            yield each

    async def _upwards(self, first: RecordingPage, order: Order) -> AsyncIterator[RecordingPage]:
        """Page after page until one has nothing new, which no numbers need be believed for."""
        page = first
        for number in range(2, MOST_PAGES):
            if not self._is_news(page):
                return
            yield page
            self.last = number - 1
            if _is_last(page, number - 1):
                return
            page = await self._page(number, order)

    async def _is_first(self, page: RecordingPage) -> bool:
        """Whether it is the first page that comes whatever number is asked for."""
        first = await self._page(1, "ASC")
        return _ids(first) == _ids(page)

    async def _page(self, number: int, order: Order) -> RecordingPage:
        self.asked += 1
        page = await self._api.list_recordings(
            statuses=self._statuses, page_no=number, per_page=PER_PAGE, sort_order=order
        )
        times = [self.newest, *(one.invoked_time for one in page.recordings)]
        self.newest = max((one for one in times if one is not None), default=None)
        return page

    def _is_news(self, page: RecordingPage) -> bool:
        """Whether there is a recording on the page that no page before it had."""
        before = len(self._known)
        self._known.update(_ids(page))
        return len(self._known) > before


def _number_of_last(page: RecordingPage) -> int | None:
    """Of a full page that is not the last: the API may give shorter ones than are asked for."""
    length = _length(page)
    if page.total_count is None or not length:
        return None
    number = -(-page.total_count // length)
    return number if number <= MOST_PAGES else None


def _misses_some(page: RecordingPage, number: int, length: int) -> bool:
    """Whether an empty page should have had recordings, were pages `length` long."""
    empty = not page.recordings and length > 0
    return empty and (page.total_count or 0) > (number - 1) * length


def _ids(page: RecordingPage) -> list[str]:
    return [one.recording_id for one in page.recordings]


def _length(page: RecordingPage) -> int:
    return len(page.recordings) + page.unreadable


def _is_last(page: RecordingPage, number: int = 1) -> bool:
    """Whether the API tells so. That a page is short tells nothing: it may cap their length."""
    if page.total_count is None:
        return False
    if page.end_offset is not None:
        return page.end_offset >= page.total_count
    return number == 1 and _length(page) >= page.total_count


def _ascends(page: RecordingPage) -> bool:
    """Whether the oldest stand first."""
    times = [one.invoked_time for one in page.recordings if one.invoked_time is not None]
    return len(times) > 1 and times[0] < times[-1]


def oldest(page: RecordingPage) -> datetime | None:
    """When the oldest recording of the page was invoked, if the API tells that of any."""
    return min((one.invoked_time for one in page.recordings if one.invoked_time), default=None)
