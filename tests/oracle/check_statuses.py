"""Statuses never go backwards, were all true, and each that was shown for long is told."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tests.oracle.check_missing import CONCLUDED
from tests.oracle.evidence import Evidence, Received
from tests.oracle.shown import shown_statuses
from tests.oracle.truth import Recording

RANKS: Final = {
    "INVOKED": 0,
    "RECORDING": 1,
    "PAUSED": 1,
    "UPLOADING": 2,
    "UPLOADED": 3,
    "ERRORED": 3,
}
OVERTAKING_SECONDS: Final = 2.0
"""A later status may be committed first: a command commits what it was shown when it ends."""


def check_statuses(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    for recording_id, events in evidence.events().items():
        changes = [event for event in events if event.kind == "recording.status_changed.v1"]
        yield from _wrong_course(recording_id, changes)
        recording = evidence.truth.recordings.get(recording_id)
        if recording is not None:
            yield from _untrue(recording, changes)
            yield from _untold(recording, changes, evidence)


def _wrong_course(recording_id: str, changes: list[Received]) -> Iterator[str]:
    previous: str | None = None
    is_concluded = False
    for change in changes:
        status = change.data["status"]
        if change.data["previous_status"] != previous:
            yield (
                f"{recording_id}: the event of {status} says {change.data['previous_status']} was "
                f"before, and {previous} was"
            )
        if previous is not None and not is_concluded:
            is_return = {previous, status} == {"RECORDING", "PAUSED"}
            if not is_return and RANKS[status] <= RANKS[previous]:
                yield f"{recording_id} went from {previous} to {status}"
            if RANKS[previous] == RANKS["UPLOADED"]:
                yield f"{recording_id}: {status} follows {previous}"
        previous = status
        is_concluded = (change.data.get("error") or {}).get("code") in CONCLUDED


def _untrue(recording: Recording, changes: list[Received]) -> Iterator[str]:
    """Each status must have been true before it was told, and in this order."""
    true = iter(recording.changes)
    pauses = any(change.status == "PAUSED" for change in recording.changes)
    for change in changes:
        status = change.data["status"]
        if (change.data.get("error") or {}).get("code") in CONCLUDED:
            continue
        if pauses and status in {"RECORDING", "PAUSED"}:
            continue  # an answer that lags may show the one before again
        if not any(each.status == status and each.at <= change.at for each in true):
            yield f"{recording.id} was told to be {status}: {recording.changes}"


def _untold(recording: Recording, changes: list[Received], evidence: Evidence) -> Iterator[str]:
    told = [(RANKS[each.data["status"]], each.data["status"], _committed(each)) for each in changes]
    # The time in an event of another program's recording may be before its adoption.
    starts = [_committed(each) if recording.by_worker else each.at for each in changes]
    first = min(starts, default=0.0)
    for status, at in sorted(shown_statuses(recording, evidence)):
        if at < first or any(name == status for _, name, _ in told):
            continue
        if not any(
            rank >= RANKS[status] and when < at + OVERTAKING_SECONDS for rank, _, when in told
        ):
            yield f"{recording.id} was shown as {status} at {at:.2f}, and that was not told"
            return


def _committed(change: Received) -> float:
    """When the worker committed the event. It may arrive later, and then what follows does too."""
    return min(change.at, datetime.fromisoformat(change.event["time"]).timestamp())
