"""Converts times to aware datetimes, which the domain uses. Pure."""

from datetime import UTC, datetime


def utc(seconds: float) -> datetime:
    """Epoch seconds as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)
