"""The number of the first page of the API's lists.

The API takes `page_no` from 0 on, and does not document whether its first page is 0 or 1. It is 1
in the vendor's other lists. So the worker asks for page 1, and for page 0 if page 1 does not prove
that it is the first one. The first row that matches counts:

    page 1                          page 0                          the first page is
    begins after the first item     has items                       0
    begins with the first item      not requested                   1
    empty, with an offset and the   not requested                   undecided: page 1 is the answer
    total 0
    has items, but no offset        refused, or empty               1
    has items, but no offset        the same items                  1
    has items, but no offset        only other items than page 1    0
                                    when requested again
    empty                           has items, and page 1 is empty  0
                                    when requested again
    otherwise                                                       undecided

An undecided list is examined again with the next request.
"""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Final, NamedTuple, TypeVar

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
    UNKNOWN = auto()
    """It has items, and no number of the first of them."""
    BEYOND_THE_END = auto()
    """It has no items, and the API does not prove that the list has none."""
    NO_LIST = auto()
    """The list has no items, or cannot be read."""


GetPage = Callable[[int, Decoder[T]], Awaitable[T]]
"""Requests the page with the API's number, and decodes it."""


class _View(NamedTuple):
    """What a page shows of its place in the list, and the ids of its items."""

    position: Position
    ids: frozenset[bytes]


_NO_VIEW: Final = _View(Position.NO_LIST, frozenset())


class PageNumbers:
    """Counts the pages of one list from 1, however the API counts them."""

    def __init__(self) -> None:
        self._first = 1
        self._is_certain = False

    async def get(self, page_no: int, decode_page: Decoder[T], get_page: GetPage[T]) -> T:
        """The page with this number, counted from 1.

        Makes more than one request only if page 1 does not show that it is the first one. Raises
        the errors of `get_page`.
        """
        if page_no > 1 or self._is_certain:
            return await get_page(page_no - 1 + self._first, decode_page)
        page, view = await _get_with_view(1, decode_page, get_page)
        if view.position is Position.FIRST:
            self._is_certain = True
        elif view.position is not Position.NO_LIST:
            return await self._find_first_page(page, view, decode_page, get_page)
        return page

    async def _find_first_page(
        self, page_1: T, view_1: _View, decode_page: Decoder[T], get_page: GetPage[T]
    ) -> T:
        """Page 0 if it is the first one, else page 1."""
        try:
            page_0, view_0 = await _get_with_view(0, decode_page, get_page)
        except Refused as error:
            # What the path names may also have been removed meanwhile.
            self._is_certain = self._is_certain or not isinstance(error, NotFound)
            return page_1
        if view_0.position not in {Position.FIRST, Position.UNKNOWN}:
            # Two empty pages prove nothing: the list may have become empty between the requests.
            self._is_certain = self._is_certain or bool(view_1.ids)
            return page_1
        if not _is_decided(view_0, view_1):
            # Items may have been added or removed between the requests, in a short list all.
            page_1, view_1 = await _get_with_view(1, decode_page, get_page)
        if _comes_before(view_0, view_1):
            self._first, self._is_certain = 0, True
            return page_0
        is_same = view_1.ids == view_0.ids or view_1.position is Position.FIRST
        self._is_certain = self._is_certain or is_same
        return page_1


def _is_decided(view_0: _View, view_1: _View) -> bool:
    """Whether the two pages show which of them is the first one."""
    if view_1.position is Position.UNKNOWN:
        return view_0.ids == view_1.ids
    return view_1.position is not Position.BEYOND_THE_END


def _comes_before(view_0: _View, view_1: _View) -> bool:
    """Whether page 0, which has items, is another one than page 1, and before it."""
    match view_1.position:
        case Position.UNKNOWN:
            return view_0.ids.isdisjoint(view_1.ids)
        case Position.FIRST | Position.NO_LIST:
            return False
        case _:
            return True


async def _get_with_view(
    number: int, decode_page: Decoder[T], get_page: GetPage[T]
) -> tuple[T, _View]:
    view = _NO_VIEW

    def decode_both(body: bytes | bytearray) -> T:
        # The session removes secrets from the page that this returns, by its type.
        nonlocal view
        view = view_of(body)
        return decode_page(body)

    return await get_page(number, decode_both), view


class _Rows(msgspec.Struct):
    participants: list[msgspec.Raw] | None = None
    sessions: list[msgspec.Raw] | None = None
    paging: Any = None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw] | _Rows | None = None
    paging: Any = None


_PAGE: Final = msgspec.json.Decoder(_Page)
"""Leaves the items undecoded: one that is damaged must not hide the others."""


class _Item(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_ITEM: Final = msgspec.json.Decoder(_Item)


def view_of(body: bytes | bytearray) -> _View:
    """Where the page is. It is a later one if it begins after the first item."""
    try:
        page = decode(body, _PAGE)
    except Unreadable:  # the decoder of the page itself decides what that means
        return _NO_VIEW
    rows = page.data if isinstance(page.data, _Rows) else _Rows(page.data)
    paging = read_paging(page.paging) or read_paging(rows.paging)
    items = rows.participants or rows.sessions
    start = non_negative_int(paging.start_offset) if paging else None
    if not items:
        total = non_negative_int(paging.total_count) if paging else None
        has_list = page.data is not None and rows != _Rows()
        # Without an offset, the total 0 may be that of the page.
        is_open = has_list and (total is None or start is None)
        return _View(Position.BEYOND_THE_END, frozenset()) if total or is_open else _NO_VIEW
    position = Position.FIRST if start in FIRST_OFFSETS else Position.LATER
    ids = frozenset(map(_id_of, items))
    return _View(Position.UNKNOWN if start is None else position, ids)


def _id_of(item: msgspec.Raw) -> bytes:
    """The id of an item. An item without one is identified by all its bytes."""
    try:
        return bytes(_ITEM.decode(item).id) or bytes(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(item)
