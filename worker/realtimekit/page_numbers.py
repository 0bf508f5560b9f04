"""The number of the first page of the API's lists.

The API takes `page_no` from 0 on, and does not document whether its first page is 0 or 1. It is 1
in the vendor's other lists. So the worker asks for page 1, until an answer shows that the list
begins before it.
"""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Final, TypeVar

import msgspec

from worker.domain.errors import Refused
from worker.realtimekit.decoding.fields import decode, non_negative_int, read_paging
from worker.realtimekit.session import Decoder

T = TypeVar("T")
FIRST_OFFSETS: Final = (None, 0, 1)
"""The values of `start_offset` on the first page. In the API's examples it is 1."""


class Position(Enum):
    """Where a page is in its list, as far as the page shows."""

    FIRST = auto()
    LATER = auto()
    UNKNOWN = auto()


GetPage = Callable[[int, Decoder[T]], Awaitable[T]]
"""Requests the page with the API's number, and decodes it."""


class PageNumbers:
    """Counts pages from 1, however the API counts them. All lists of an app share one."""

    def __init__(self) -> None:
        self._first = 1
        self._is_certain = False

    async def get(self, page_no: int, decode_page: Decoder[T], get_page: GetPage[T]) -> T:
        """The page with this number, counted from 1.

        Makes a second request only if page 1 shows that it is not the first one.
        """
        if page_no > 1 or self._is_certain:
            return await get_page(page_no - 1 + self._first, decode_page)
        page, position = await _get_with_position(1, decode_page, get_page)
        if position is Position.LATER:
            try:
                page_0, position_0 = await _get_with_position(0, decode_page, get_page)
            except Refused:
                position_0 = Position.UNKNOWN
            if position_0 is Position.FIRST:
                self._first, page = 0, page_0
        self._is_certain = position is not Position.UNKNOWN
        return page


async def _get_with_position(
    number: int, decode_page: Decoder[T], get_page: GetPage[T]
) -> tuple[T, Position]:
    position = Position.UNKNOWN

    def decode_both(body: bytes | bytearray) -> T:
        # The session removes secrets from the page that this returns, by its type.
        nonlocal position
        position = position_of(body)
        return decode_page(body)

    return await get_page(number, decode_both), position


class _Page(msgspec.Struct):
    data: Any = None
    paging: Any = None


_PAGE: Final = msgspec.json.Decoder(_Page)


def position_of(body: bytes | bytearray) -> Position:
    """Where the page is. It is a later one if it begins after the first item, or is empty although
    the API counts items. Raises `Unreadable`."""
    page = decode(body, _PAGE)
    inner = page.data if isinstance(page.data, dict) else {"items": page.data}
    items = next((value for value in inner.values() if isinstance(value, list)), [])
    paging = read_paging(page.paging) or read_paging(inner.get("paging"))
    if paging is None:
        return Position.FIRST if items else Position.UNKNOWN
    if items:
        start = non_negative_int(paging.start_offset)
        return Position.FIRST if start in FIRST_OFFSETS else Position.LATER
    return Position.LATER if non_negative_int(paging.total_count) else Position.UNKNOWN
