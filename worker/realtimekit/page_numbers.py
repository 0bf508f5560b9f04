"""The number of the first page of the API's lists.

The API takes `page_no` from 0 on, and does not document whether its first page is 0 or 1. It is 1
in the vendor's other lists. So the worker asks for page 1, until an answer shows that the list
begins before it.
"""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Final, TypeVar

import msgspec

from worker.domain.errors import NotFound, Refused
from worker.realtimekit.decoding.fields import Unreadable, decode, non_negative_int, read_paging
from worker.realtimekit.session import Decoder

T = TypeVar("T")
FIRST_OFFSETS: Final = (0, 1)
"""The values of `start_offset` on the first page. In the API's examples it is 1."""


class Position(Enum):
    """Where a page is in its list, as far as the page shows."""

    FIRST = auto()
    LATER = auto()
    BEYOND_THE_END = auto()
    """It has no items, although the API counts some."""
    UNKNOWN = auto()
    """It has items, and no number of the first of them."""
    NO_LIST = auto()
    """The list has no items, or cannot be read."""


GetPage = Callable[[int, Decoder[T]], Awaitable[T]]
"""Requests the page with the API's number, and decodes it."""


class PageNumbers:
    """Counts the pages of one list from 1, however the API counts them."""

    def __init__(self) -> None:
        self._first = 1
        self._is_certain = False

    async def get(self, page_no: int, decode_page: Decoder[T], get_page: GetPage[T]) -> T:
        """The page with this number, counted from 1.

        Makes more than one request only if page 1 shows that it is not the first one. Raises the
        errors of `get_page`.
        """
        if page_no > 1 or self._is_certain:
            return await get_page(page_no - 1 + self._first, decode_page)
        page, position = await _get_with_position(1, decode_page, get_page)
        if position in {Position.LATER, Position.BEYOND_THE_END}:
            return await self._find_first_page(page, position, decode_page, get_page)
        if position is Position.FIRST:
            self._is_certain = True
        return page

    async def _find_first_page(
        self, page_1: T, position: Position, decode_page: Decoder[T], get_page: GetPage[T]
    ) -> T:
        """Page 0 if it is the first one, else page 1."""
        try:
            page_0, position_0 = await _get_with_position(0, decode_page, get_page)
        except Refused as error:
            # What the path names may also have been removed meanwhile.
            self._is_certain = self._is_certain or not isinstance(error, NotFound)
            return page_1
        if position_0 not in {Position.FIRST, Position.UNKNOWN}:
            # Two empty pages prove nothing: the list may have become empty between the requests.
            self._is_certain = self._is_certain or position is Position.LATER
            return page_1
        if position is Position.BEYOND_THE_END:
            # The first item may have been added between the requests, or while the API counted.
            page_1, position = await _get_with_position(1, decode_page, get_page)
        if position in {Position.LATER, Position.BEYOND_THE_END}:
            self._first, self._is_certain = 0, True
            return page_0
        self._is_certain = self._is_certain or position is Position.FIRST
        return page_1


async def _get_with_position(
    number: int, decode_page: Decoder[T], get_page: GetPage[T]
) -> tuple[T, Position]:
    position = Position.NO_LIST

    def decode_both(body: bytes | bytearray) -> T:
        # The session removes secrets from the page that this returns, by its type.
        nonlocal position
        position = position_of(body)
        return decode_page(body)

    return await get_page(number, decode_both), position


class _Rows(msgspec.Struct):
    participants: list[msgspec.Raw] | None = None
    sessions: list[msgspec.Raw] | None = None
    paging: Any = None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw] | _Rows | None = None
    paging: Any = None


_PAGE: Final = msgspec.json.Decoder(_Page)
"""Leaves the items undecoded: one that is damaged must not hide the others."""


def position_of(body: bytes | bytearray) -> Position:
    """Where the page is. It is a later one if it begins after the first item."""
    try:
        page = decode(body, _PAGE)
    except Unreadable:  # the decoder of the page itself decides what that means
        return Position.NO_LIST
    rows = page.data if isinstance(page.data, _Rows) else _Rows(page.data)
    paging = read_paging(page.paging) or read_paging(rows.paging)
    if not (rows.participants or rows.sessions):
        is_counted = paging is not None and non_negative_int(paging.total_count)
        return Position.BEYOND_THE_END if is_counted else Position.NO_LIST
    start = non_negative_int(paging.start_offset) if paging else None
    if start is None:
        return Position.UNKNOWN
    return Position.FIRST if start in FIRST_OFFSETS else Position.LATER
