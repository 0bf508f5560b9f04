"""When a start called, by the API's clock, and whether a recording began since then. Pure.

A time that is too late would hide the start's own recording, and the worker would start a second
one. A time that is too early may only claim a recording that another program began at that moment.
So where a clock is unusable, the earlier time counts.
"""

from datetime import datetime, timedelta
from typing import Final

from worker.domain.snapshot import RecordingSnapshot

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""How far the API's clock may be from ours, if the API does not show its time."""

READING_TOLERANCE: Final = timedelta(seconds=0.25)
"""How far two replicas' readings of the database's clock may be apart."""

MAX_AHEAD: Final = timedelta(minutes=10)
"""A stored call this far in the future was written while our clock was ahead."""

UNKNOWN_CALL_AGE: Final = timedelta(hours=1)
"""Such a call may have been made this long ago."""


def first_call_by_api_clock(
    called_at: datetime, now: datetime, api_now: datetime | None
) -> datetime:
    """The time of our first call by the API's clock, or up to a second earlier.

    `called_at` and `now` are readings of our clock, and measure the time since the call. `api_now`
    is the present by the API's clock, in whole seconds; None if no answer has shown it.
    """
    if called_at - now > MAX_AHEAD:  # the time of the call is unknown
        return (api_now or now) - UNKNOWN_CALL_AGE
    if api_now is not None and now >= called_at:
        return api_now - (now - called_at) - READING_TOLERANCE
    return min(called_at, api_now or called_at) - CLOCK_TOLERANCE


def by_api_clock(at: datetime, now: datetime, api_now: datetime | None) -> datetime:
    """A time of our clock by the API's clock, or up to two seconds later."""
    return (api_now or now) + (at - now) + timedelta(seconds=2)


def began_at(snapshot: RecordingSnapshot) -> datetime | None:
    """When the recording was invoked, or else started. None if the API shows neither."""
    return snapshot.invoked_time or snapshot.started_time


def is_since(began: datetime, since: datetime) -> bool:
    """Whether a recording that began then, by the API's clock, began at `since` or later."""
    if not began.microsecond:  # perhaps cut to a whole second
        since = since.replace(microsecond=0)
    return began >= since


def in_milliseconds(at: datetime) -> datetime:
    """The time as the API writes it: cut to milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
