"""When the worker stops waiting for the API to tell the end of a recording, and what it says then.

Pure: no clock, no I/O. What is concluded here is not final: the truth, told later, follows it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Final

import msgspec

from recording_schemas import ErrorInfo, Status
from worker.domain.recording import LIVE, STALLED, VANISHED, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot

FIRST_LOOK_SECONDS: Final = 1.0
"""Until what may come any moment is looked for again; then the pauses grow with the wait."""

SECOND_THOUGHT_SECONDS: Final = 60.0
LAST_THOUGHT_SECONDS: Final = 86_400.0
"""Between these ages an end without proof is looked into again, each time after twice the time."""


class Cutoffs(msgspec.Struct, frozen=True, kw_only=True):
    """Since when is too long, for each status: to be unchanged, or to be known (epoch seconds)."""

    unchanged: Mapping[Status, float]
    known: Mapping[Status, float]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long something is believed in, in seconds."""

    files_wait: float
    invoked_timeout: float
    uploading_timeout: float
    recording_timeout: float
    vanished_after: float

    def limit_of(self, status: Status) -> float:
        """How long a recording may be of a live status."""
        match status:
            case Status.INVOKED:
                return self.invoked_timeout
            case Status.UPLOADING:
                return self.uploading_timeout
            case _:
                return self.recording_timeout

    @property
    def total(self) -> float:
        """How long a recording may be followed before it ends, by whatever statuses it goes."""
        return self.recording_timeout + self.uploading_timeout

    def overdue(self, now: float) -> Cutoffs:
        """When a live recording should have moved on by `now`."""
        # Counted from the first sight: going to and fro between these two is no progress.
        to_and_fro = (Status.RECORDING, Status.PAUSED)
        return Cutoffs(
            unchanged={one: now - self.limit_of(one) for one in LIVE.difference(to_and_fro)},
            known=dict.fromkeys(LIVE, now - self.total)
            | dict.fromkeys(to_and_fro, now - self.recording_timeout),
        )

    def hopeless(self, now: float) -> Cutoffs:
        """When a recording that is followed is given up though the API tells nothing."""
        longest = max(self.recording_timeout, self.uploading_timeout) + self.vanished_after
        return Cutoffs(
            unchanged=dict.fromkeys((*LIVE, Status.UPLOADED), now - longest),
            known=dict.fromkeys(LIVE, now - self.total - self.vanished_after),
        )


def is_overdue(known: Recording, now: datetime, patience: Timeouts) -> bool:
    """Whether a live recording should have moved on by now."""
    return known.status in LIVE and _is_before(known, patience.overdue(now.timestamp()))


def is_hopeless(known: Recording, now: datetime, patience: Timeouts) -> bool:
    """Whether to end a recording of which the API will not tell anything."""
    return known.is_open and _is_before(known, patience.hopeless(now.timestamp()))


def _is_before(known: Recording, moments: Cutoffs) -> bool:
    if known.changed_at is None:
        return False
    first_seen_at = known.first_seen_at or known.changed_at
    return known.changed_at.timestamp() <= moments.unchanged.get(
        known.status, -inf
    ) or first_seen_at.timestamp() <= moments.known.get(known.status, -inf)


def stalled(
    known: Recording, patience: Timeouts, now: datetime, *, unheard: bool = False
) -> ErrorInfo:
    """Why a recording is given up that does not move on, or of which nothing is heard."""
    longest = patience.limit_of(known.status)
    changed_at = known.changed_at or now
    since = f"after {longest:g} s"
    if known.status is Status.UPLOADING and now - changed_at < timedelta(seconds=longest):
        since = f"{patience.total:g} s after it was first seen"
    words = f"still {known.status} {since}"
    if unheard:
        words += ", and the API does not tell how it is"
    return ErrorInfo(code=STALLED, message=words)


def is_last_look(known: Recording, now: datetime, patience: Timeouts) -> bool:
    """Whether files that are not there now are not waited for any longer."""
    since = known.files_awaited_since
    return since is not None and now - since >= timedelta(seconds=patience.files_wait)


def is_gone(known: Recording, now: datetime, patience: Timeouts) -> bool:
    """Whether a recording that the API denies has been missing for long enough to believe it."""
    since = known.missing_since
    return since is not None and now - since >= timedelta(seconds=patience.vanished_after)


def vanished(known: Recording) -> ErrorInfo | None:
    """Why a recording is given up that the API no longer knows; None for one that was uploaded."""
    if known.status not in LIVE:
        return None
    return ErrorInfo(code=VANISHED, message="the API no longer knows this recording")


def ended(
    known: Recording, error: ErrorInfo | None, *, asked_at: datetime, now: datetime
) -> Observation:
    """The sight that ends a recording: as ERRORED, or with no file if there is no `error`."""
    status = known.status if error is None else Status.ERRORED
    return Observation(
        snapshot=RecordingSnapshot(recording_id=known.recording_id, status=status, kind=known.kind),
        observed_by="sweep",
        asked_at=asked_at,
        observed_at=now,
        app=known.app,
        files=(),
        files_final=True,
        timed_out=error,
        read_again_at=now + timedelta(seconds=SECOND_THOUGHT_SECONDS),
    )


def gave_up(
    known: Recording, patience: Timeouts, *, asked_at: datetime, now: datetime
) -> Observation:
    """The sight that ends a recording of which the API will not tell anything."""
    reason = stalled(known, patience, now, unheard=True) if known.status in LIVE else None
    return ended(known, reason, asked_at=asked_at, now=now)


def is_old(known: Recording, now: datetime) -> bool:
    """Whether a recording ended so long ago that its end is no longer looked into."""
    since = known.changed_at
    last = timedelta(seconds=LAST_THOUGHT_SECONDS)
    return not known.is_open and since is not None and now - since >= last


def next_look(after: Recording, now: datetime, patience: Timeouts) -> datetime | None:
    """When to read a recording again that was read just now; None: not by itself."""
    if after.files_awaited_since is not None:
        return _later(now, after.files_awaited_since, FIRST_LOOK_SECONDS, patience.files_wait)
    if after.is_open:
        since = after.missing_since
        return since and _later(now, since, FIRST_LOOK_SECONDS, patience.vanished_after)
    proven = after.file_count > 0 if after.status is Status.UPLOADED else not after.timed_out
    if proven or after.changed_at is None or is_old(after, now):
        return None
    return _later(now, after.changed_at, SECOND_THOUGHT_SECONDS, LAST_THOUGHT_SECONDS)


def _later(now: datetime, since: datetime, first: float, longest: float) -> datetime:
    """After as long again as it has been, but in time for the last look."""
    pause = max(now - since, timedelta(seconds=first))
    last = since + timedelta(seconds=longest)
    return min(now + pause, last) if now < last else now + timedelta(seconds=first)
