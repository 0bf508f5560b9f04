"""How long a recording may take, and when the worker stops waiting for the API. Pure.

    timeout              counts from                      when it has passed
    invoked_timeout      the change to INVOKED            the recording is overdue
    uploading_timeout    the change to UPLOADING          the recording is overdue
    recording_timeout    the first observation            a recording that is RECORDING or PAUSED
                                                          is overdue
    lifetime             the first observation            any live recording is overdue
    files_settle         the first read of a list         an unchanged list counts as complete
    files_wait           the change to UPLOADED           the worker stops waiting for files
    files_late           the completion                   the worker searches for missing files a
                                                          last time
    vanished_after       the first 404                    the recording counts as gone

The worker reads an overdue recording and stops it if the worker started it. If it then makes no
progress, the worker ends it as ERRORED. If the API answers nothing, the worker ends the recording
`vanished_after` after the longest of these timeouts. `timeout_observations` builds the observations
that end a recording.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Final

import msgspec

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording

PAUSABLE: Final = (Status.RECORDING, Status.PAUSED)


class Cutoffs(msgspec.Struct, frozen=True, kw_only=True):
    """Two times per status, in epoch seconds. A recording that reached its status at or before
    `changed_before`, or was first seen at or before `first_seen_before`, has taken too long.

    A status that is missing from a mapping has no such cutoff.
    """

    changed_before: Mapping[Status, float]
    first_seen_before: Mapping[Status, float]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """All timeouts of a recording, in seconds. The module's docstring explains each one."""

    files_settle: float
    files_wait: float
    files_late: float
    invoked_timeout: float
    uploading_timeout: float
    recording_timeout: float
    vanished_after: float

    def status_timeout(self, status: Status) -> float:
        """How long a recording may stay in this live status."""
        match status:
            case Status.INVOKED:
                return self.invoked_timeout
            case Status.UPLOADING:
                return self.uploading_timeout
            case _:
                return self.recording_timeout

    @property
    def lifetime(self) -> float:
        """How long a recording may stay live, whichever statuses it goes through."""
        return self.recording_timeout + self.uploading_timeout

    def overdue_cutoffs(self, now: float) -> Cutoffs:
        """The cutoffs of recordings that should have made progress by `now` (epoch seconds)."""
        # A change between RECORDING and PAUSED is no progress, so these two count from the first
        # observation. Otherwise pausing and resuming would keep a recording alive forever.
        return Cutoffs(
            changed_before={
                status: now - self.status_timeout(status) for status in LIVE.difference(PAUSABLE)
            },
            first_seen_before=dict.fromkeys(LIVE, now - self.lifetime)
            | dict.fromkeys(PAUSABLE, now - self.recording_timeout),
        )

    def give_up_cutoffs(self, now: float) -> Cutoffs:
        """The cutoffs of recordings that end at `now` although the API has not answered."""
        longest = max(self.recording_timeout, self.uploading_timeout) + self.vanished_after
        return Cutoffs(
            changed_before=dict.fromkeys((*LIVE, Status.UPLOADED), now - longest),
            first_seen_before=dict.fromkeys(LIVE, now - self.lifetime - self.vanished_after),
        )


def is_overdue(recording: Recording, now: datetime, timeouts: Timeouts) -> bool:
    """Whether a live recording should have made progress by now."""
    return recording.status in LIVE and _is_past(
        recording, timeouts.overdue_cutoffs(now.timestamp())
    )


def should_give_up(recording: Recording, now: datetime, timeouts: Timeouts) -> bool:
    """Whether to end a recording for which the API gives no answers."""
    return recording.is_open and _is_past(recording, timeouts.give_up_cutoffs(now.timestamp()))


def _is_past(recording: Recording, cutoffs: Cutoffs) -> bool:
    if recording.changed_at is None:
        return False
    status = recording.status
    first_seen_at = recording.first_seen_at or recording.changed_at
    return recording.changed_at.timestamp() <= cutoffs.changed_before.get(
        status, -inf
    ) or first_seen_at.timestamp() <= cutoffs.first_seen_before.get(status, -inf)


def files_wait_is_over(recording: Recording, now: datetime, timeouts: Timeouts) -> bool:
    """Whether the worker no longer waits for files that the API does not list yet."""
    return _has_lasted(recording.files_awaited_since, timeouts.files_wait, now)


def is_confirmed_missing(recording: Recording, now: datetime, timeouts: Timeouts) -> bool:
    """Whether the API has answered 404 long enough to treat the recording as gone."""
    return _has_lasted(recording.missing_since, timeouts.vanished_after, now)


def _has_lasted(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is not None and now - since >= timedelta(seconds=seconds)
