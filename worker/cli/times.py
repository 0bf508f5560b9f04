"""Durations and times on the command line: how they are read, and how they are shown."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Final

import click

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(
    *, least: float = 0.0, most: float = inf
) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """The callback of a flag with a duration: seconds, or such as 90s, 15m, 2h or 7d.

    It returns seconds.
    """

    def parse(
        _context: click.Context, _parameter: click.Parameter, text: str | None
    ) -> float | None:
        if text is None:
            return None
        seconds = float(text) if _NUMBER.fullmatch(text) else _seconds(text)
        if seconds is None:
            raise click.BadParameter(f"{text!r} is not a duration such as 90s, 15m, 2h or 7d")
        if not least <= seconds <= most:
            limit = f"at least {least:.15g} s" if seconds < least else f"at most {most:.15g} s"
            raise click.BadParameter(f"{text!r} must be {limit}")
        return seconds

    return parse


def time_or_age(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> float | None:
    """The callback of a flag with an RFC 3339 time, a date, or a duration before now.

    A date is its beginning in the machine's time zone. Returns epoch seconds.
    """
    if text is None:
        return None
    if (seconds := _seconds(text)) is not None:
        return datetime.now(UTC).timestamp() - seconds
    if (time := _timestamp(text)) is None:
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2030-01-01T10:00:00Z, nor a date such as "
            "2030-01-01, nor a duration such as 2h"
        )
    return time


def _timestamp(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
        return time.timestamp() if time.tzinfo is not None or _DATE.fullmatch(text) else None
    except (ValueError, OverflowError):  # a day in the year 1 has no beginning in every time zone
        return None


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _SECONDS[match[2]] if match else None


def rounded_duration(seconds: float) -> str:
    """A number of seconds in its largest unit, rounded down: 42s, 5m, 3h, 12d."""
    whole = max(int(seconds), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def local_time(time: datetime | float | str | None) -> str | None:
    """The time in the machine's time zone, to the second."""
    if time is None:
        return None
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    elif isinstance(time, float | int):
        time = datetime.fromtimestamp(time, UTC)
    return f"{in_local_zone(time):%Y-%m-%d %H:%M:%S}"


def in_local_zone(time: datetime) -> datetime:
    """The time in the machine's time zone, or unchanged if it would leave the calendar."""
    try:
        return time.astimezone()
    except OverflowError:
        return time


def iso_time(seconds: float | None) -> str | None:
    """Epoch seconds as in events."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
