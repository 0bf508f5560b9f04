"""Starting a recording exactly once, also when the answer to an earlier call was lost."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from recording_schemas import Kind, StartRecording, StartTrackRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import Conflict, OutcomeUnknown, Refused
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.fetch import fetch_all_recordings

CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""How far the API's clock may be from ours when a recording is matched with a start."""


async def start_track_recording(
    command: StartTrackRecording, attempt: OperationContext
) -> OperationResult:
    """Start a track recording, or adopt the one that an earlier attempt started."""
    return await _start(
        attempt, command.meeting_id, "track", lambda: _start_track(command, attempt)
    )


async def start_recording(command: StartRecording, attempt: OperationContext) -> OperationResult:
    """Start a composite recording, or adopt the one that an earlier attempt started."""
    return await _start(
        attempt, command.meeting_id, "composite", lambda: _start_composite(command, attempt)
    )


async def _start_track(
    command: StartTrackRecording, attempt: OperationContext
) -> RecordingSnapshot:
    return await attempt.api.start_track_recording(command.body())


async def _start_composite(command: StartRecording, attempt: OperationContext) -> RecordingSnapshot:
    body = command.body()
    if command.storage_profile is not None:
        body = {**body, "storage_config": _profile(command.storage_profile, attempt)}
    return await attempt.api.start_composite_recording(body)


def _profile(name: str, attempt: OperationContext) -> Mapping[str, object]:
    profile = attempt.storage_profiles.get(name)
    if profile is None:
        raise Refused(
            "unknown_storage_profile",
            f"storage_profile {name!r} is not configured on this worker",
            field="storage_profile",
        )
    return profile


async def _start(
    attempt: OperationContext,
    meeting_id: str,
    kind: Kind,
    call: Callable[[], Awaitable[RecordingSnapshot]],
) -> OperationResult:
    asked_at = attempt.now()
    snapshot = await _started_before(attempt, meeting_id, kind)
    if snapshot is None:
        if not attempt.may_call:
            raise OutcomeUnknown(
                "start_unconfirmed", "an earlier call may still turn out to have been executed"
            )
        snapshot = await _call_or_adopt(attempt, meeting_id, kind, call)
    given = msgspec.structs.replace(
        snapshot, kind=kind, meeting_id=snapshot.meeting_id or meeting_id
    )
    return OperationResult(
        recording_ids=(snapshot.recording_id,),
        observations=(attempt.observation(given, asked_at, attempt.start_context),),
    )


async def _call_or_adopt(
    attempt: OperationContext,
    meeting_id: str,
    kind: Kind,
    call: Callable[[], Awaitable[RecordingSnapshot]],
) -> RecordingSnapshot:
    try:
        return await call()
    except Conflict:
        # What stands in the way may be our own, started by a call whose answer was lost.
        snapshot = await _started_before(attempt, meeting_id, kind)
        if snapshot is None:
            raise
        return snapshot


async def _started_before(
    attempt: OperationContext, meeting_id: str, kind: Kind
) -> RecordingSnapshot | None:
    """The recording that an earlier attempt of this start began, if the API lists one.

    Only one start of a meeting and kind is attempted at a time, so a recording of that kind,
    invoked since our first call and owned by no other command, is ours. Of several the first one
    since then; one from just before, by clocks that differ, only when there is no other.
    """
    if attempt.called_at is None:
        return None
    listed = await _listed(attempt, meeting_id)
    called_at = _called_at(attempt, attempt.called_at)  # after an answer: it tells the API's time
    owned = {
        one.recording_id
        for one in attempt.known
        if one.start and one.start_id != attempt.start_context.start_id
    }
    ours = [
        (one.invoked_time < called_at, abs(one.invoked_time - called_at), one)
        for one in listed
        if one.recording_id not in owned
        and one.kind in {kind, None}
        and one.start_reason != "RECORD_ON_START"
        and one.invoked_time is not None
        and one.invoked_time >= called_at - CLOCKS_DIFFER
    ]
    return min(ours, key=lambda one: one[:2])[2] if ours else None


async def _listed(attempt: OperationContext, meeting_id: str) -> list[RecordingSnapshot]:
    try:
        return await fetch_all_recordings(attempt.background_api(), meeting_id=meeting_id)
    except Refused as refused:  # of the look; the start itself may well have been executed
        raise OutcomeUnknown("start_unconfirmed", refused.message) from refused


def _called_at(attempt: OperationContext, called_at: datetime) -> datetime:
    """When we first called: by the API's clock, for ours may differ, or by ours, should it have
    jumped since. The earlier one: to miss our own recording would double it.
    """
    here = attempt.now()
    there = attempt.api.server_time() or here
    return min(called_at, there - (here - called_at))
