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
from worker.realtimekit import RealtimeKit
from worker.realtimekit.values import Page

PER_PAGE: Final = 100
MOST_PAGES: Final = 10_000
"""However many there are said to be: a list has an end."""

Order = Literal["ASC", "DESC"]


class Pages:
    """One reading of a list of recordings, page by page, in the order that hides the least.

    `guess` is the number of the last page as far as it is known, to be asked for first; `last` is
    that number once it was read.
    """

    def __init__(
        self, api: RealtimeKit, *, statuses: Sequence[Status] = (), guess: int = 1
    ) -> None:
        self._api = api
        self._statuses = tuple(statuses)
        self._known: set[str] = set()
        self.last = max(guess, 1)
        self.asked = 0

    async def oldest_first(self) -> AsyncIterator[Page]:
        """All pages, those of the newest recordings first."""
        number, page = await self._last_page()
        if number is None:
            async for each in self._upwards(page, "ASC"):
                yield each
            return
        self.last = number
        yield page
        for each_number in range(number - 1, 0, -1):
            page = await self._page(each_number, "ASC")
            if page.recordings and not self._is_news(page):
                break  # the same page again, whatever number is asked for
            yield page

    async def newest_first(self) -> AsyncIterator[Page]:
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

    async def _last_page(self) -> tuple[int | None, Page]:
        """The last page and its number. None instead of it when the API does not tell how many
        there are, or tells nonsense, and the first page."""
        guess = self.last
        page = await self._page(guess, "ASC")
        if not page.recordings and guess > 1:  # the list has become shorter
            guess, page = 1, await self._page(1, "ASC")
        if _is_last(page, guess):
            self._is_news(page)
            return guess, page
        number = _number_of_last(page)
        if number is None or number <= guess:
            return None, page if guess == 1 else await self._page(1, "ASC")
        end = await self._page(number, "ASC")
        if end.recordings and self._is_news(end):
            return number, end
        return None, page if guess == 1 else await self._page(1, "ASC")

    async def _upwards(self, first: Page, order: Order) -> AsyncIterator[Page]:
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

    async def _page(self, number: int, order: Order) -> Page:
        self.asked += 1
        return await self._api.list(
            statuses=self._statuses, page_no=number, per_page=PER_PAGE, sort_order=order
        )

    def _is_news(self, page: Page) -> bool:
        """Whether there is a recording on the page that no page before it had."""
        before = len(self._known)
        self._known.update(one.recording_id for one in page.recordings)
        return len(self._known) > before


def _number_of_last(page: Page) -> int | None:
    """Of a full page that is not the last: the API may give shorter ones than are asked for."""
    length = len(page.recordings) + page.unreadable
    if page.total_count is None or not length:
        return None
    number = -(-page.total_count // length)
    return number if number <= MOST_PAGES else None


def _is_last(page: Page, number: int = 1) -> bool:
    """Whether the API tells so. That a page is short tells nothing: it may cap their length."""
    if page.total_count is None:
        return False
    if page.end_offset is not None:
        return page.end_offset >= page.total_count
    return number == 1 and len(page.recordings) + page.unreadable >= page.total_count


def _ascends(page: Page) -> bool:
    """Whether the oldest stand first."""
    times = [one.invoked_time for one in page.recordings if one.invoked_time is not None]
    return len(times) > 1 and times[0] < times[-1]


def oldest(page: Page) -> datetime | None:
    """When the oldest recording of the page was invoked, if the API tells that of any."""
    return min((one.invoked_time for one in page.recordings if one.invoked_time), default=None)
