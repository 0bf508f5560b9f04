"""Members of the API's answers, taken as they come: what is not of the form meant is None."""

import math
import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_LARGEST = 2.0**53
_REASON_IN_TEXT = re.compile(r"""['"]reason['"]\s*:\s*['"](\w+)['"]""")


class Unreadable(Exception):
    """An answer that claims success cannot be understood, or says in its body that it failed."""


class Paging(msgspec.Struct):
    """The `paging` object of lists."""

    total_count: Any = None
    end_offset: Any = None


def decoded(body: bytes | bytearray, decoder: "msgspec.json.Decoder[T]") -> T:
    """The decoded `body`; whatever is wrong with it is `Unreadable`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Unreadable(f"the answer has another shape than documented: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the answer is not JSON") from None


def text(value: object) -> str | None:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def whole(value: object) -> int | None:
    """A number that is not negative, also as text; fractions are cut off."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and 0 <= number <= _LARGEST else None


def time(value: object) -> datetime | None:
    """An aware time from ISO 8601, with `T` or a space; without an offset it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def reason(value: object) -> str | None:
    """The reason out of an object, a bare word, or the text of a Python dict."""
    if isinstance(value, dict):
        return text(value.get("reason"))
    if isinstance(value, str) and (match := _REASON_IN_TEXT.search(value)):
        return match[1]
    return text(value)


def is_last(paging: Paging | None, items: int, per_page: int | None) -> bool:
    """Whether no further page is worth asking for.

    Without usable `paging` a page counts as the last unless it is as full as was asked for.
    """
    total, end = (whole(paging.total_count), whole(paging.end_offset)) if paging else (None, None)
    if not items:
        return True
    if total is not None and end is not None:
        return end >= total
    return per_page is None or items < per_page
