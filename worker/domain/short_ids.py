"""Short forms of ids, for users: unique beginnings that are accepted instead of the whole id.

Without an ellipsis, only a UUID may be shortened, because a whole UUID is never the beginning of
another. Any other id is cut with an ellipsis, so that `start-1` never means `start-10`.
"""

import re
from collections.abc import Collection
from typing import Final

ELLIPSIS: Final = "…"
UUID_LENGTH: Final = 36
MIN_DIGITS: Final = 4
"""This many digits of a UUID are accepted as its short form."""

SHOWN_DIGITS: Final = 8
MAX_WHOLE_LENGTH: Final = 20
"""An id that is not a UUID is shown whole up to this length."""

SHOWN_LETTERS: Final = 12
# Not UUID_PATTERN of recording_schemas: help on the command line need not wait for that import.
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9a-f-]+", re.IGNORECASE)


def beginning(text: str) -> str | None:
    """The beginning of the ids that `text` may mean. None if it can only be a whole id."""
    if (cut := without_ellipsis(text)) != text:
        return cut or None
    is_short = MIN_DIGITS <= len(text) < UUID_LENGTH and _DIGITS.fullmatch(text)
    return text if is_short else None


def stands_for(text: str, whole_id: str) -> bool:
    """Whether `text` is a short form of this id. The id itself is not."""
    start = beginning(text)
    if start is None or not whole_id.startswith(start):
        return False
    return start != text or UUID.fullmatch(whole_id) is not None


def without_ellipsis(text: str) -> str:
    """The text without the mark that it is cut."""
    return text.removesuffix(ELLIPSIS).removesuffix("...")


def shorten(
    ids: Collection[str], *, max_whole: int = MAX_WHOLE_LENGTH, letters: int = SHOWN_LETTERS
) -> dict[str, str]:
    """The short form of each id. It is unique among these ids.

    An id that is not a UUID is whole up to `max_whole` letters, else its first `letters` or more.
    """
    ordered = sorted(set(ids))
    neighbours = zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False)
    return {
        whole_id: _shortened(
            whole_id,
            1 + max(_common(before, whole_id), _common(whole_id, after)),
            max_whole,
            letters,
        )
        for before, whole_id, after in neighbours
    }


def _shortened(whole_id: str, unique_length: int, max_whole: int, letters: int) -> str:
    if UUID.fullmatch(whole_id):
        return whole_id[: max(SHOWN_DIGITS, unique_length)]
    length = max(letters, unique_length)
    if len(whole_id) <= max(max_whole, length + 1):
        return whole_id
    return whole_id[:length] + ELLIPSIS


def _common(first: str, second: str) -> int:
    """How many letters the beginnings of two ids have in common."""
    pairs = zip(first, second, strict=False)
    return next(
        (number for number, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second))
    )
