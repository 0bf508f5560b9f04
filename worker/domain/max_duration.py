"""When the worker stops a recording whose start limits its duration (`max_seconds`). Pure.

The API limits composites itself. It has no such limit for track recordings, so the worker stops
them. There are two times:

    `stop_at` of the recording   `max_seconds` after it first recorded; it never changes
    `stop_at` of its row         when the next attempt at the stop is due: first at the recording's
                                 `stop_at`, then after a pause; None if nothing is to be stopped

The time during which the recording is PAUSED counts too.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from recording_schemas import Status
from worker.domain.recording import STALLED, STOPPABLE, Observation, Recording

MAX_DURATION_SECONDS: Final = 86_400
"""The longest duration that a start may set."""

OLDEST_START: Final = timedelta(days=1)
"""A recording that is first observed cannot have begun earlier: no start searches for that long."""

_HAS_BEGUN: Final = frozenset({Status.RECORDING, Status.PAUSED})


def with_stop_at(after: Recording, before: Recording | None, observation: Observation) -> Recording:
    """The recording with its `stop_at`, if it has one and is first observed as recording."""
    max_seconds = after.start.max_seconds if after.start else None
    if max_seconds is None or after.stop_at is not None or after.status not in _HAS_BEGUN:
        return after
    began = _first_recorded(after, before, observation)
    return msgspec.structs.replace(after, stop_at=began + timedelta(seconds=max_seconds))


def _first_recorded(
    after: Recording, before: Recording | None, observation: Observation
) -> datetime:
    """When it first recorded: what the API says, within what the worker has observed.

    The API's clock may be wrong. A recording that is known as INVOKED began after its first
    observation, and none began after the observation that shows it recording.
    """
    earliest, latest = observation.observed_at - OLDEST_START, observation.observed_at
    if before is not None and before.status is Status.INVOKED:
        earliest = before.first_seen_at or earliest
    elif before is not None and before.status in _HAS_BEGUN:
        latest = before.changed_at or latest
    started = after.started_time
    if started is None or (before is None and started < earliest):
        return latest
    return min(max(started, earliest), latest)


def next_stop_at(after: Recording, stop_at: float | None) -> float | None:
    """The `stop_at` of the row after an observation, in epoch seconds.

    `stop_at` is the previous one. If the worker ended a recording because the API reported nothing,
    the recording may continue, so it must still be stopped.
    """
    is_silent = after.timed_out and after.error is not None and after.error.code == STALLED
    status = after.timed_out_from if is_silent else after.status
    if status not in STOPPABLE:
        return None
    if stop_at is not None or after.stop_at is None:
        return stop_at
    return after.stop_at.timestamp()


def latest_stop_at(recording: Recording, now: datetime) -> datetime:
    """The latest possible `stop_at` of a recording, although its time of recording may be wrong."""
    max_seconds = recording.start.max_seconds if recording.start else None
    began = min(recording.started_time or now, now)
    return began + timedelta(seconds=max_seconds or MAX_DURATION_SECONDS)
