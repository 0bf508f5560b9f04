"""How many items of a list to ask for in one request.

The API documents no maximum of `per_page` for recordings. It may refuse a long page instead of
cutting it. Then the worker asks for shorter ones.
"""

from typing import Final

import structlog

from worker.domain.errors import Conflict, NotFound, Refused

SMALLER_SIZES: Final = (50, 20, 10)
"""The sizes to try if the API refuses a longer page. Its other lists take 20 and more."""


class PageSize:
    """The longest page of one list that the API has not refused."""

    def __init__(self, list_name: str) -> None:
        self._list_name = list_name
        self._longest: int | None = None

    def limited(self, per_page: int | None) -> int | None:
        """`per_page`, or less if the API refuses it. None leaves the size to the API."""
        if per_page is None or self._longest is None:
            return per_page
        return min(per_page, self._longest)

    def after_refusal(self, refusal: Refused, per_page: int | None) -> int:
        """The size to ask for, because the API refused `per_page`.

        Raises the refusal if that is not the reason for it, or if there is no smaller size.
        """
        smaller = next((size for size in SMALLER_SIZES if size < (per_page or 0)), None)
        if smaller is None or not _is_about_size(refusal):
            raise refusal
        if self._longest is None or smaller < self._longest:
            self._longest = smaller
            structlog.get_logger().warning(
                "page_size_reduced",
                list=self._list_name,
                refused=per_page,
                per_page=smaller,
                reason=refusal.message,
            )
        return smaller


def _is_about_size(refusal: Refused) -> bool:
    is_of_value = not isinstance(refusal, NotFound | Conflict)
    return is_of_value and (refusal.field == "per_page" or "per_page" in refusal.message)
