"""Reads the second 60 of RFC 3339, which Python's times do not have."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

_TIME: Final = r"(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:)60(?:\.\d+)?([Zz]|[+\-]\d{2}:?\d{2})"
_WHOLE: Final = re.compile(_TIME)
_DEADLINE: Final = re.compile(rb'"deadline"\s*:\s*"' + _TIME.encode() + rb'"')


def without_leap_second(text: str) -> str:
    """The last microsecond before the leap second that `text` is. Any other text stays as it is.

    A leap second is the last second of a month in UTC.
    """
    found = _WHOLE.fullmatch(text)
    if found is None:
        return text
    before = f"{found[1]}59.999999{found[2]}"
    try:
        after = datetime.fromisoformat(before.upper()).astimezone(UTC) + timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return text
    is_midnight = (after.hour, after.minute, after.second) == (0, 0, 0)
    return before if is_midnight and after.day == 1 else text


def without_leap_deadline(text: bytes) -> bytes | None:
    """The JSON text of a command whose `deadline` is a leap second, with the time before it. None
    for any other text."""
    if not _DEADLINE.search(text):
        return None
    try:
        # Decoded, because `metadata` may have such a name, too, and must come back unchanged.
        fields = msgspec.json.decode(text, type=dict[str, Any])
        deadline = fields.get("deadline")
        before = without_leap_second(deadline) if isinstance(deadline, str) else deadline
        return None if before == deadline else msgspec.json.encode({**fields, "deadline": before})
    except (ValueError, RecursionError, OverflowError):
        return None
