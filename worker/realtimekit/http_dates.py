"""Reads the dates in the headers of responses."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache


@lru_cache(maxsize=4)
def parse_http_date(text: str) -> datetime | None:
    """The aware time of an HTTP date; None if it is not usable. Without a zone it is UTC."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
