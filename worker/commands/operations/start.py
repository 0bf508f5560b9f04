"""Starts a recording exactly once, even if the answer to an earlier call was lost.

1. If an earlier attempt may have called, search the API's list for its recording and adopt it.
2. Otherwise check the session if the start waits for one, find the people to record, and call.
3. After a conflict search again, because the conflicting recording may be our own. An answer with
   the recording of another start is a conflict too: nothing began.
4. After a refusal, a start that waits for its session checks the session and calls once more,
   because the refusal may have come between two sessions.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from recording_schemas import StartRecording, StartTrackRecording
from worker.commands.operations.awaited_session import require_session
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.operations.own_recording import (
    StartedRecording,
    find_own_recording,
    is_of_other_start,
)
from worker.domain.errors import Conflict, NothingFound, Refused
from worker.domain.meeting_participants import People
from worker.domain.own_storage import is_only_storage, requested_storage
from worker.domain.recording import StartContext
from worker.domain.snapshot import RecordingSnapshot

StartCall = Callable[[StartContext], Awaitable[RecordingSnapshot]]


async def start_track_recording(
    command: StartTrackRecording, context: OperationContext
) -> OperationResult:
    """Start a track recording, or adopt the one that an earlier attempt started."""

    async def call(start: StartContext) -> RecordingSnapshot:
        return await context.start_api().start_track_recording(_track_body(command, start))

    started = StartedRecording(
        meeting_id=command.meeting_id,
        kind="track",
        file_name_prefix=context.start_context.file_name_prefix,
    )
    people = partial(context.people.find, command) if context.people else None
    return await _start(context, started, call, people)


async def start_recording(command: StartRecording, context: OperationContext) -> OperationResult:
    """Start a composite recording, or adopt the one that an earlier attempt started."""

    async def call(_start: StartContext) -> RecordingSnapshot:
        body = _composite_body(command, context)
        return await context.start_api().start_composite_recording(body)

    started = StartedRecording(
        meeting_id=command.meeting_id,
        kind="composite",
        file_name_prefix=command.file_name_prefix or None,
    )
    return await _start(_with_storage(context, command), started, call)


def _track_body(command: StartTrackRecording, start: StartContext) -> Mapping[str, object]:
    return {**command.body(), "user_ids": start.user_ids} if start.user_ids else command.body()


def _with_storage(context: OperationContext, command: StartRecording) -> OperationContext:
    """The context of a start whose recording knows where its file goes."""
    body = command.body()
    profile = context.storage_profiles.get(command.storage_profile or "")
    start = msgspec.structs.replace(
        context.start_context,
        storage=requested_storage(profile or body.get("storage_config")),
        only_in_storage=is_only_storage(body),
    )
    return msgspec.structs.replace(context, start_context=start)


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
    context: OperationContext,
    started: StartedRecording,
    call: StartCall,
    find_people: Callable[[], Awaitable[People]] | None = None,
) -> OperationResult:
    """Find the recording of an earlier call. Otherwise wait, find the people, and call."""
    start = context.start_context
    asked_at = context.now()
    snapshot = await find_own_recording(context, started)
    if snapshot is None:
        if not context.may_call:
            raise NothingFound
        if context.session_wait is not None:
            await require_session(context, context.session_wait, started.meeting_id)
        if find_people is not None:
            start = start.with_people(await find_people())
        snapshot = await _call_or_adopt(context, started, partial(call, start))
    recording = msgspec.structs.replace(
        snapshot,
        kind=started.kind,
        kind_is_guessed=False,
        meeting_id=snapshot.meeting_id or started.meeting_id,
    )
    observation = context.observation(recording, asked_at, start)
    others = [
        seen
        for seen in context.progress.result().observations
        if seen.snapshot.recording_id != snapshot.recording_id
    ]
    return OperationResult(
        recording_ids=(snapshot.recording_id,), observations=(*others, observation)
    )


async def _call_or_adopt(
    context: OperationContext,
    started: StartedRecording,
    call: Callable[[], Awaitable[RecordingSnapshot]],
) -> RecordingSnapshot:
    try:
        return await _call(context, call)
    except Refused as refusal:
        # The conflicting recording may be our own, started by a call whose answer was lost.
        if isinstance(refusal, Conflict):
            snapshot = await find_own_recording(context, started)
            if snapshot is not None:
                return snapshot
        if context.session_wait is None:
            raise
    # The session may have ended before the call, and the next one begun after it.
    await require_session(context, context.session_wait, started.meeting_id)
    return await _call(context, call)


async def _call(
    context: OperationContext, call: Callable[[], Awaitable[RecordingSnapshot]]
) -> RecordingSnapshot:
    """The recording that the call began. Raises Conflict if it is one that another start began."""
    asked_at = context.now()
    snapshot = await call()
    if await is_of_other_start(snapshot, asked_at, context):
        text = f"the API answered with recording {snapshot.recording_id} of another start"
        raise Conflict("already_recording", text)
    return snapshot
