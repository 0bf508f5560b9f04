"""Requests pages of the API's lists: with the API's number, and with a length that it takes."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from worker.domain.errors import Refused
from worker.realtimekit.page_numbers import PageNumbers
from worker.realtimekit.page_size import PageSize
from worker.realtimekit.session import Decoder
from worker.realtimekit.urls import query_params

T = TypeVar("T")
PageDecoder = Callable[[bytes | bytearray, int | None], T]
"""Decodes the body of a page. The number is how many items were requested, None without one."""

RequestPage = Callable[[Mapping[str, str], Decoder[T]], Awaitable[T]]
"""Requests a page with these parameters, and decodes it."""


class PagedLists:
    """What is known of each list's pages. Lists of different resources may differ."""

    def __init__(self) -> None:
        self._numbers = defaultdict[str, PageNumbers](PageNumbers)
        self._sizes: dict[str, PageSize] = {}

    async def get(
        self,
        list_name: str,
        page_no: int,
        per_page: int | None,
        decode_page: PageDecoder[T],
        request: RequestPage[T],
    ) -> T:
        """The page with this number, counted from 1, and with at most `per_page` items.

        Raises the errors of `request`.
        """
        sizes = self._sizes.setdefault(list_name, PageSize(list_name))
        length = sizes.limited(per_page)

        def decode(body: bytes | bytearray) -> T:
            return decode_page(body, length)

        async def get_page(number: int, decode_body: Decoder[T]) -> T:
            nonlocal length
            while True:
                try:
                    return await request(query_params(page_no=number, per_page=length), decode_body)
                except Refused as refusal:
                    length = sizes.after_refusal(refusal, length)

        return await self._numbers[list_name].get(page_no, decode, get_page)
