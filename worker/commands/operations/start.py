"""Starts a recording exactly once, even if the answer to an earlier call was lost.

1. If an earlier attempt may have called, search the API's list for its recording and adopt it.
2. Otherwise call. On a conflict search again, because the conflicting recording may be our own.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from recording_schemas import StartRecording, StartTrackRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.operations.own_recording import StartedRecording, find_own_recording
from worker.domain.errors import Conflict, OutcomeUnknown, Refused
from worker.domain.snapshot import RecordingSnapshot

StartCall = Callable[[], Awaitable[RecordingSnapshot]]


async def start_track_recording(
    command: StartTrackRecording, context: OperationContext
) -> OperationResult:
    """Start a track recording, or adopt the one that an earlier attempt started."""

    async def call() -> RecordingSnapshot:
        return await context.start_api().start_track_recording(command.body())

    started = StartedRecording(
        meeting_id=command.meeting_id,
        kind="track",
        file_name_prefix=context.start_context.file_name_prefix,
    )
    return await _start(context, started, call)


async def start_recording(command: StartRecording, context: OperationContext) -> OperationResult:
    """Start a composite recording, or adopt the one that an earlier attempt started."""

    async def call() -> RecordingSnapshot:
        body = _composite_body(command, context)
        return await context.start_api().start_composite_recording(body)

    started = StartedRecording(
        meeting_id=command.meeting_id,
        kind="composite",
        file_name_prefix=command.file_name_prefix or None,
    )
    return await _start(context, started, call)


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
    context: OperationContext, started: StartedRecording, call: StartCall
) -> OperationResult:
    asked_at = context.now()
    snapshot = await find_own_recording(context, started)
    if snapshot is None:
        if not context.may_call:
            raise OutcomeUnknown(
                "start_unconfirmed", "an earlier call may still turn out to have been executed"
            )
        snapshot = await _call_or_adopt(context, started, call)
    recording = msgspec.structs.replace(
        snapshot,
        kind=started.kind,
        kind_is_guessed=False,
        meeting_id=snapshot.meeting_id or started.meeting_id,
    )
    observation = context.observation(recording, asked_at, context.start_context)
    return OperationResult(recording_ids=(snapshot.recording_id,), observations=(observation,))


async def _call_or_adopt(
    context: OperationContext, started: StartedRecording, call: StartCall
) -> RecordingSnapshot:
    try:
        return await call()
    except Conflict:
        # The conflicting recording may be our own, started by a call whose answer was lost.
        snapshot = await find_own_recording(context, started)
        if snapshot is None:
            raise
        return snapshot
