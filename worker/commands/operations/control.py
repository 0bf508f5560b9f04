"""Stopping, pausing and resuming: which recordings a command means, and what a refusal means."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from recording_schemas import Kind, PauseRecording, ResumeRecording, Status, StopRecording
from worker.budget.priorities import Priority
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import NotFound, NotYet, Refused
from worker.domain.recording import LIVE
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_all_recordings

Action = Literal["stop", "pause", "resume"]
ControlCommand = StopRecording | PauseRecording | ResumeRecording

STOPPED: Final = frozenset({Status.UPLOADING, Status.UPLOADED, Status.ERRORED})

ACHIEVED: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": STOPPED,
    "pause": frozenset({Status.PAUSED}),
    "resume": frozenset({Status.RECORDING}),
}
"""The statuses in which an action has nothing left to do."""

POSSIBLE: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": frozenset({Status.RECORDING, Status.PAUSED}),
    "pause": frozenset({Status.RECORDING}),
    "resume": frozenset({Status.PAUSED}),
}
"""The statuses in which the API executes an action."""

TOO_EARLY_CODES: Final[Mapping[Action, str]] = {
    "stop": "not_stoppable",
    "pause": "not_pausable",
    "resume": "not_resumable",
}


class Target(msgspec.Struct, frozen=True):
    """A recording to act on, with its status as far as that is certain."""

    recording_id: str
    status: Status | None = None


async def stop_recording(command: StopRecording, context: OperationContext) -> OperationResult:
    """Stop. A recording that has ended already counts as stopped."""
    return await _control(command, context, "stop")


async def pause_recording(command: PauseRecording, context: OperationContext) -> OperationResult:
    """Pause. A recording that is paused already counts as paused."""
    return await _control(command, context, "pause")


async def resume_recording(command: ResumeRecording, context: OperationContext) -> OperationResult:
    """Resume. A recording that is recording already counts as resumed."""
    return await _control(command, context, "resume")


async def _control(
    command: ControlCommand, context: OperationContext, action: Action
) -> OperationResult:
    api = context.api.with_priority(Priority.STOP if action == "stop" else Priority.COMMAND)
    ids, observations = [], []
    failures: list[NotYet | Refused] = []
    for target in await _targets(command, context, action, api):
        ids.append(target.recording_id)
        if action == "stop" and target.status in STOPPED:
            continue
        asked_at = context.now()
        try:
            snapshot = await _act(api, target.recording_id, action)
        except (NotYet, Refused) as error:
            failures.append(error)  # the meeting's other recordings do not wait for this one
        else:
            observations.append(context.observation(snapshot, asked_at))
    for failure in sorted(failures, key=lambda error: isinstance(error, Refused)):
        raise failure  # a NotYet before a Refused, because the command may still succeed
    return OperationResult(recording_ids=tuple(ids), observations=tuple(observations))


async def _targets(
    command: ControlCommand, context: OperationContext, action: Action, api: RealtimeKitClient
) -> list[Target]:
    if command.recording_id is not None:
        return [_known_target(context) or Target(command.recording_id)]
    if command.start_id is not None:
        return [_started_target(command.start_id, context)]
    assert command.meeting_id is not None  # noqa: S101 - exactly one of the three is given
    statuses = LIVE if action == "stop" else LIVE - STOPPED
    return await _targets_of_meeting(command.meeting_id, command.kind, statuses, context, api)


def _known_target(context: OperationContext) -> Target | None:
    for recording in context.known:
        return Target(recording.recording_id, None if recording.timed_out else recording.status)
    return None


def _started_target(start_id: str, context: OperationContext) -> Target:
    target = _known_target(context)
    if target is not None:
        return target
    if context.start_state == "done":
        raise Refused("start_failed", f"the start command {start_id!r} ended without a recording")
    raise NotYet("start_unknown", f"no start command {start_id!r} has been executed")


async def _targets_of_meeting(
    meeting_id: str,
    kind: Kind | None,
    statuses: frozenset[Status],
    context: OperationContext,
    api: RealtimeKitClient,
) -> list[Target]:
    if context.starts_pending:
        raise NotYet("start_pending", "a start command of this meeting is still being executed")
    # The list may lack the kind of a recording; the store has it.
    known_kinds = {recording.recording_id: recording.kind for recording in context.known}
    listed = await fetch_all_recordings(api, meeting_id=meeting_id, statuses=sorted(statuses))
    return [
        Target(snapshot.recording_id, snapshot.status)
        for snapshot in listed
        if kind is None or known_kinds.get(snapshot.recording_id, snapshot.kind) == kind
    ]


async def _act(
    api: RealtimeKitClient, recording_id: str, action: Action, *, retry: bool = True
) -> RecordingSnapshot:
    """Act on one recording. When the API refuses, its status says why.

    The action may have been achieved already; it may have been too early by a moment, and is tried
    once more; the recording may still be INVOKED (NotYet); or the refusal is final (Refused).
    """
    try:
        return await api.control_recording(recording_id, action)
    except Refused as error:
        refused = error
    try:
        snapshot = await api.get_recording(recording_id)
    except NotFound:
        raise refused from None
    if snapshot.status in ACHIEVED[action]:
        return snapshot
    if retry and snapshot.status in POSSIBLE[action]:
        return await _act(api, recording_id, action, retry=False)
    if snapshot.status is Status.INVOKED:
        raise NotYet(TOO_EARLY_CODES[action], refused.message) from refused
    raise refused
