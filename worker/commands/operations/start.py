"""Starting a recording exactly once, also when the answer to an earlier call was lost.

1. An earlier attempt may have called: look for its recording in the API's list, and adopt it.
2. Otherwise call. On a conflict look again: the recording in the way may be our own.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from recording_schemas import Kind, StartRecording, StartTrackRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import Conflict, OutcomeUnknown, Refused
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.fetch import fetch_all_recordings

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""How far the API's clock may be from ours when a recording is matched with a start."""

StartCall = Callable[[], Awaitable[RecordingSnapshot]]


async def start_track_recording(
    command: StartTrackRecording, context: OperationContext
) -> OperationResult:
    """Start a track recording, or adopt the one that an earlier attempt started."""

    async def call() -> RecordingSnapshot:
        return await context.api.start_track_recording(command.body())

    return await _start(context, command.meeting_id, "track", call)


async def start_recording(command: StartRecording, context: OperationContext) -> OperationResult:
    """Start a composite recording, or adopt the one that an earlier attempt started."""

    async def call() -> RecordingSnapshot:
        return await context.api.start_composite_recording(_composite_body(command, context))

    return await _start(context, command.meeting_id, "composite", call)


def _composite_body(command: StartRecording, context: OperationContext) -> Mapping[str, object]:
    name = command.storage_profile
    if name is None:
        return command.body()
    profile = context.storage_profiles.get(name)
    if profile is None:
        raise Refused(
            "unknown_storage_profile",
            f"storage_profile {name!r} is not configured on this worker",
            field="storage_profile",
        )
    return {**command.body(), "storage_config": profile}


async def _start(
    context: OperationContext, meeting_id: str, kind: Kind, call: StartCall
) -> OperationResult:
    asked_at = context.now()
    snapshot = await _find_own_recording(context, meeting_id, kind)
    if snapshot is None:
        if not context.may_call:
            raise OutcomeUnknown(
                "start_unconfirmed", "an earlier call may still turn out to have been executed"
            )
        snapshot = await _call_or_adopt(context, meeting_id, kind, call)
    recording = msgspec.structs.replace(
        snapshot,
        kind=kind,
        kind_is_guessed=False,
        meeting_id=snapshot.meeting_id or meeting_id,
    )
    observation = context.observation(recording, asked_at, context.start_context)
    return OperationResult(recording_ids=(snapshot.recording_id,), observations=(observation,))


async def _call_or_adopt(
    context: OperationContext, meeting_id: str, kind: Kind, call: StartCall
) -> RecordingSnapshot:
    try:
        return await call()
    except Conflict:
        # The recording in the way may be our own, started by a call whose answer was lost.
        snapshot = await _find_own_recording(context, meeting_id, kind)
        if snapshot is None:
            raise
        return snapshot


async def _find_own_recording(
    context: OperationContext, meeting_id: str, kind: Kind
) -> RecordingSnapshot | None:
    """The recording that an earlier attempt of this start began, if the API lists one.

    Only one start of a meeting and kind is attempted at a time. So a recording of that kind is ours
    if it was invoked since our first call and no other command owns it. Of several, the first one
    since the call is ours. One from just before the call, possible because clocks differ, is taken
    only when there is no other.
    """
    if context.called_at is None:
        return None
    # First the list: its answer carries the API's time.
    listed = await _list_meeting(context, meeting_id)
    called_at = _earliest_call(context, context.called_at)  # after an answer: the server time
    owned = {
        recording.recording_id
        for recording in context.known
        if recording.start and recording.start_id != context.start_context.start_id
    }
    candidates = [
        (snapshot.invoked_time < called_at, abs(snapshot.invoked_time - called_at), snapshot)
        for snapshot in listed
        if snapshot.recording_id not in owned
        and (snapshot.kind in {kind, None} or snapshot.kind_is_guessed)
        and snapshot.start_reason != "RECORD_ON_START"
        and snapshot.invoked_time is not None
        and snapshot.invoked_time >= called_at - CLOCK_TOLERANCE
    ]
    return min(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


async def _list_meeting(context: OperationContext, meeting_id: str) -> list[RecordingSnapshot]:
    try:
        return await fetch_all_recordings(context.background_api(), meeting_id=meeting_id)
    except Refused as refused:  # the API refused the look; it may well have executed the start
        raise OutcomeUnknown("start_unconfirmed", refused.message) from refused


def _earliest_call(context: OperationContext, called_at: datetime) -> datetime:
    """When we first called, by the API's clock or by ours, whichever is earlier.

    Our clock may differ from the API's, or may have been set since. The earlier time is the safe
    one: to overlook our own recording would start a second one.
    """
    here = context.now()
    there = context.api.server_time() or here
    return min(called_at, there - (here - called_at))
