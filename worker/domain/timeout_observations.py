"""The observations with which the worker itself ends a recording, and their errors. Pure.

Such an end is provisional. If the API later reports something else, that observation follows it.
"""

from datetime import datetime, timedelta

from recording_schemas import ErrorInfo, Status
from worker.domain.read_policy import RECHECK_MIN_AGE_SECONDS
from worker.domain.recording import LIVE, STALLED, VANISHED, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeouts import Timeouts


def give_up_observation(
    recording: Recording, timeouts: Timeouts, *, asked_at: datetime, now: datetime
) -> Observation:
    """Ends a recording for which the API gives no answers."""
    error = (
        stalled_error(recording, timeouts, now, unanswered=True)
        if recording.status in LIVE
        else None
    )
    return end_observation(recording, error, asked_at=asked_at, now=now)


def stalled_error(
    recording: Recording, timeouts: Timeouts, now: datetime, *, unanswered: bool = False
) -> ErrorInfo:
    """The error of a recording that stayed in one live status for too long.

    `unanswered` says that the API did not answer either.
    """
    longest = timeouts.status_timeout(recording.status)
    changed_at = recording.changed_at or now
    since = f"after {longest:g} s"
    if recording.status is Status.UPLOADING and now - changed_at < timedelta(seconds=longest):
        since = f"{timeouts.lifetime:g} s after it was first seen"
    message = f"still {recording.status} {since}"
    if recording.unknown_status is not None:
        message += f", and the API reports the unknown status {recording.unknown_status}"
    elif unanswered:
        message += ", and the API does not report its status"
    return ErrorInfo(code=STALLED, message=message)


def vanished_error(recording: Recording) -> ErrorInfo | None:
    """The error of a recording that the API no longer has; None if it was uploaded before."""
    if recording.status not in LIVE:
        return None
    return ErrorInfo(code=VANISHED, message="the API no longer has this recording")


def end_observation(
    recording: Recording, error: ErrorInfo | None, *, asked_at: datetime, now: datetime
) -> Observation:
    """Ends a recording as ERRORED with this error. Without an error its status stays, and it
    completes with the known files."""
    status = recording.status if error is None else Status.ERRORED
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id=recording.recording_id, status=status, kind=recording.kind
        ),
        observed_by="sweep",
        asked_at=asked_at,
        observed_at=now,
        app=recording.app,
        files=(),
        files_final=True,
        timeout_error=error,
        read_again_at=None
        if recording.status is Status.ERRORED
        else now + timedelta(seconds=RECHECK_MIN_AGE_SECONDS),
    )
