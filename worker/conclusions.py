"""When the worker stops waiting for the API to tell the end of a recording, and what it says then.

Pure: no clock, no I/O. What is concluded here is not final: the truth, told later, follows it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from recording_schemas import ErrorInfo, Status
from worker.recording import LIVE, STALLED, VANISHED, Recording, Seen
from worker.snapshot import Snapshot

FIRST_LOOK_SECONDS: Final = 1.0
"""Until what may come any moment is looked for again; then the pauses grow with the wait."""

SECOND_THOUGHT_SECONDS: Final = 60.0
LAST_THOUGHT_SECONDS: Final = 86_400.0
"""Between these ages an end without proof is looked into again, each time after twice the time."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long something is believed in, in seconds."""

    files_wait: float
    invoked_timeout: float
    uploading_timeout: float
    recording_timeout: float
    vanished_after: float

    def longest(self, status: Status) -> float:
        """How long a recording may be of a live status."""
        match status:
            case Status.INVOKED:
                return self.invoked_timeout
            case Status.UPLOADING:
                return self.uploading_timeout
            case _:
                return self.recording_timeout

    def overdue(self, now: float) -> dict[Status, float]:
        """For each live status, since when (as `now`) is too long."""
        return {status: now - self.longest(status) for status in LIVE}

    def hopeless(self, now: float) -> dict[Status, float]:
        """For each status that is followed, since when is too long though the API tells nothing."""
        longest = max(self.recording_timeout, self.uploading_timeout) + self.vanished_after
        return dict.fromkeys((*LIVE, Status.UPLOADED), now - longest)


def is_overdue(known: Recording, now: datetime, patience: Patience) -> bool:
    """Whether a live recording should have moved on by now."""
    if known.status not in LIVE or known.changed_at is None:
        return False
    since = known.changed_at
    if known.status in {Status.RECORDING, Status.PAUSED}:  # going to and fro is no progress
        since = known.first_seen_at or since
    return now - since >= timedelta(seconds=patience.longest(known.status))


def is_hopeless(known: Recording, now: datetime, patience: Patience) -> bool:
    """Whether to end a recording of which the API will not tell anything."""
    return _is_before(known, patience.hopeless(now.timestamp()))


def _is_before(known: Recording, moments: Mapping[Status, float]) -> bool:
    moment = moments.get(known.status)
    changed_at = known.changed_at
    return (
        known.is_open
        and moment is not None
        and changed_at is not None
        and changed_at.timestamp() <= moment
    )


def stalled(known: Recording, patience: Patience, *, unheard: bool = False) -> ErrorInfo:
    """Why a recording is given up that does not move on, or of which nothing is heard."""
    since = f"still {known.status} after {patience.longest(known.status):g} s"
    words = f"{since}, and the API does not tell how it is" if unheard else since
    return ErrorInfo(code=STALLED, message=words)


def is_last_look(known: Recording, now: datetime, patience: Patience) -> bool:
    """Whether files that are not there now are not waited for any longer."""
    since = known.files_awaited_since
    return since is not None and now - since >= timedelta(seconds=patience.files_wait)


def is_gone(known: Recording, now: datetime, patience: Patience) -> bool:
    """Whether a recording that the API denies has been missing for long enough to believe it."""
    since = known.missing_since
    return since is not None and now - since >= timedelta(seconds=patience.vanished_after)


def vanished(known: Recording) -> ErrorInfo | None:
    """Why a recording is given up that the API no longer knows; None for one that was uploaded."""
    if known.status not in LIVE:
        return None
    return ErrorInfo(code=VANISHED, message="the API no longer knows this recording")


def ended(known: Recording, error: ErrorInfo | None, *, asked_at: datetime, now: datetime) -> Seen:
    """The sight that ends a recording: as ERRORED, or with no file if there is no `error`."""
    status = known.status if error is None else Status.ERRORED
    return Seen(
        snapshot=Snapshot(recording_id=known.recording_id, status=status, kind=known.kind),
        observed_by="sweep",
        asked_at=asked_at,
        observed_at=now,
        app=known.app,
        files=(),
        files_final=True,
        concluded=error,
        look_again_at=now + timedelta(seconds=SECOND_THOUGHT_SECONDS),
    )


def next_look(after: Recording, now: datetime, patience: Patience) -> datetime | None:
    """When to read a recording again that was read just now; None: not by itself."""
    if after.files_awaited_since is not None:
        return _later(now, after.files_awaited_since, FIRST_LOOK_SECONDS, patience.files_wait)
    if after.is_open:
        since = after.missing_since
        return since and _later(now, since, FIRST_LOOK_SECONDS, patience.vanished_after)
    proven = after.file_count > 0 if after.status is Status.UPLOADED else not after.concluded
    if proven or after.changed_at is None:
        return None
    if now - after.changed_at >= timedelta(seconds=LAST_THOUGHT_SECONDS):
        return None
    return _later(now, after.changed_at, SECOND_THOUGHT_SECONDS, LAST_THOUGHT_SECONDS)


def _later(now: datetime, since: datetime, first: float, longest: float) -> datetime:
    """After as long again as it has been, but in time for the last look."""
    pause = max(now - since, timedelta(seconds=first))
    last = since + timedelta(seconds=longest)
    return min(now + pause, last) if now < last else now + timedelta(seconds=first)
