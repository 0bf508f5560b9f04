"""Single fields of JSON bodies: a value of an unexpected form becomes None."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from recording_schemas.leap_seconds import without_leap_second
from recording_schemas.values import UUID_PATTERN
from worker.realtimekit.decoding.repair import REPLACEMENT, repaired

T = TypeVar("T")

MAX_ERROR_LENGTH: Final = 500
"""The error message of a recording is cut to this many characters."""

MAX_ID_LENGTH: Final = 256
MAX_NAME_LENGTH: Final = 256
"""The name of a person or preset is cut to this many characters."""

SHORT_PAGE: Final = 20
"""A page with fewer items is short, and may be the last one. The API may limit the length of pages,
and may count only the items of the page. 20 is the length of its other lists."""

YEARS: Final = range(2000, 3000)
"""The years of plausible times. None of them is so near the end of the calendar that arithmetic
with the time overflows."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UUID: Final = re.compile(UUID_PATTERN)
_UUID_DIGITS: Final = re.compile(r"[0-9a-f]{32}")
_MAX_INT = 2.0**53
_REASON_IN_TEXT = re.compile(r"""['"]reason['"]\s*:\s*['"](\w+)['"]""")


class Unreadable(Exception):
    """A body has no usable form, or reports a failure although its status was 2xx."""


class Paging(msgspec.Struct):
    """The `paging` object of lists."""

    total_count: Any = None
    start_offset: Any = None
    end_offset: Any = None


def decode(body: bytes | bytearray, decoder: "msgspec.json.Decoder[T]") -> T:
    """The decoded `body`. Raises Unreadable."""
    try:
        return _decode(body, decoder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _decode(repaired(body), decoder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the body is not JSON") from None


def _decode(body: bytes | bytearray, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Unreadable(f"the body has another form than documented: {error}") from None


def text(value: object) -> str | None:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def recording_id_of(value: object) -> str | None:
    """A recording's id. A UUID is in small letters, so that it is the same in all answers.

    None if it was repaired, because two repaired ids may be equal.
    """
    recording_id = text(value)
    if recording_id is not None and REPLACEMENT in recording_id:
        return None
    if recording_id is not None and _UUID.fullmatch(recording_id):
        return recording_id.lower()
    return recording_id


def is_another_uuid(answered: str | None, requested: str | None) -> bool:
    """Whether both are UUIDs, in any spelling, and differ. Ids of another form prove nothing."""
    if answered is None or requested is None or answered == requested:
        return False
    both = [value.replace("-", "").lower() for value in (answered, requested)]
    return both[0] != both[1] and all(_UUID_DIGITS.fullmatch(value) for value in both)


def bounded_id(value: object) -> str | None:
    """An id of at most 256 characters. A longer one is None, because a part of it is another id."""
    return text(value) if isinstance(value, str) and len(value) <= MAX_ID_LENGTH else None


def bounded_text(value: object) -> str | None:
    """A name for people, cut to 256 characters."""
    return text(value[:MAX_NAME_LENGTH]) if isinstance(value, str) else None


def participant_id(value: object) -> str | None:
    """A participant's id, as commands can name it: 1 to 256 characters, no control characters."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        return None
    return None if _CONTROL.search(value) else value


def non_negative_int(value: object) -> int | None:
    """A number that is not negative, also as text. Fractions are cut off."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and 0 <= number <= _MAX_INT else None


def aware_time(value: object) -> datetime | None:
    """An aware time from ISO 8601, with `T` or a space. Without an offset it is UTC.

    A year outside `YEARS` means that there is no time: services in Go write 0001-01-01T00:00:00Z.
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(without_leap_second(value))
    except ValueError:
        return None
    if at.year not in YEARS:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def reason(value: object) -> str | None:
    """A reason: from an object, a single word, or the text of a Python dict."""
    if isinstance(value, dict):
        return text(value.get("reason"))
    if isinstance(value, str) and (match := _REASON_IN_TEXT.search(value)):
        return match[1]
    return text(value)


def caller_type(value: object) -> str | None:
    """The type of the caller in a reason, in capitals."""
    caller = value.get("caller") if isinstance(value, dict) else None
    kind = text(caller.get("type")) if isinstance(caller, dict) else None
    return kind.upper() if kind else None


def read_paging(value: object) -> Paging | None:
    """The `paging` object. None if it is no object: then the length of the list is unknown."""
    return msgspec.convert(value, Paging) if isinstance(value, dict) else None


def listed(
    rows: Sequence[T] | None, paging: Paging | None, *, page_no: int, what: str
) -> Sequence[T]:
    """The rows of a page. A list that is null is empty where no row is expected: behind the first
    page, or if `paging` counts no row.

    Raises `Unreadable` if the list is null nevertheless.
    """
    if rows is not None:
        return rows
    total = non_negative_int(paging.total_count) if paging else None
    if page_no == 1 and total != 0:
        raise Unreadable(f"the body has no list of {what}")
    return ()


def is_last_page(paging: Paging | None, items: int, per_page: int | None) -> bool:
    """Whether this is the last page.

    Without usable `paging`, a page is the last one if it has fewer items than were requested, and
    fewer than `SHORT_PAGE`.
    """
    if not items:
        return True
    total = non_negative_int(paging.total_count) if paging else None
    end = non_negative_int(paging.end_offset) if paging else None
    if total is not None and end is not None:
        return end >= total
    return per_page is None or items < min(per_page, SHORT_PAGE)
