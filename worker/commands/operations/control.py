"""Stopping, pausing and resuming: on which recordings, and what a refusal means."""

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
Targeted = StopRecording | PauseRecording | ResumeRecording


async def stop_recording(command: StopRecording, attempt: OperationContext) -> OperationResult:
    """Stop; what has ended already counts as stopped."""
    return await _act(command, attempt, "stop")


async def pause_recording(command: PauseRecording, attempt: OperationContext) -> OperationResult:
    """Pause; what is paused already counts."""
    return await _act(command, attempt, "pause")


async def resume_recording(command: ResumeRecording, attempt: OperationContext) -> OperationResult:
    """Resume; what is recording already counts."""
    return await _act(command, attempt, "resume")


async def _act(command: Targeted, attempt: OperationContext, action: Action) -> OperationResult:
    api = attempt.api.with_priority(Priority.STOP if action == "stop" else Priority.COMMAND)
    ids, seen = [], []
    failures: list[NotYet | Refused] = []
    for target in await _targets(command, attempt, action, api):
        ids.append(target.recording_id)
        if action == "stop" and target.status in _STOPPED:
            continue
        asked_at = attempt.now()
        try:
            snapshot = await _act_on(api, target.recording_id, action)
        except (NotYet, Refused) as error:
            failures.append(error)  # the others of the meeting need not wait for this one
        else:
            seen.append(attempt.observation(snapshot, asked_at))
    for failure in sorted(failures, key=lambda error: isinstance(error, Refused)):
        raise failure
    return OperationResult(recording_ids=tuple(ids), observations=tuple(seen))


_STOPPED: Final = frozenset({Status.UPLOADING, Status.UPLOADED, Status.ERRORED})


class _Target(msgspec.Struct, frozen=True):
    recording_id: str
    status: Status | None = None


async def _targets(
    command: Targeted, attempt: OperationContext, action: Action, api: RealtimeKitClient
) -> list[_Target]:
    if command.recording_id is not None:
        return [_known_target(attempt) or _Target(command.recording_id)]
    if command.start_id is not None:
        return [_started_target(command.start_id, attempt)]
    assert command.meeting_id is not None  # noqa: S101 - exactly one of the three is given
    statuses = LIVE if action == "stop" else LIVE - _STOPPED
    return await _targets_of_meeting(command.meeting_id, command.kind, statuses, attempt, api)


def _known_target(attempt: OperationContext) -> _Target | None:
    for one in attempt.known:
        return _Target(one.recording_id, None if one.timed_out else one.status)
    return None


def _started_target(start_id: str, attempt: OperationContext) -> _Target:
    target = _known_target(attempt)
    if target is not None:
        return target
    if attempt.start_state == "done":
        raise Refused("start_failed", f"the start command {start_id!r} ended without a recording")
    raise NotYet("start_unknown", f"no start command {start_id!r} has been executed")


async def _targets_of_meeting(
    meeting_id: str,
    kind: Kind | None,
    statuses: frozenset[Status],
    attempt: OperationContext,
    api: RealtimeKitClient,
) -> list[_Target]:
    if attempt.starts_pending:
        raise NotYet("start_pending", "a start command of this meeting is still being executed")
    kinds = {one.recording_id: one.kind for one in attempt.known}
    listed = await fetch_all_recordings(api, meeting_id=meeting_id, statuses=sorted(statuses))
    return [
        _Target(one.recording_id, one.status)
        for one in listed
        if kind is None or kinds.get(one.recording_id, one.kind) == kind
    ]


async def _act_on(
    api: RealtimeKitClient, recording_id: str, action: Action, *, once_more: bool = True
) -> RecordingSnapshot:
    """When the API refuses: because it is so already, because it is too early, or for good?"""
    try:
        return await api.control_recording(recording_id, action)
    except Refused as error:
        refused = error
    try:
        snapshot = await api.get_recording(recording_id)
    except NotFound:
        raise refused from None
    if snapshot.status in _REACHED[action]:
        return snapshot
    if once_more and snapshot.status in _POSSIBLE[action]:  # it was too early a moment ago
        return await _act_on(api, recording_id, action, once_more=False)
    if snapshot.status is Status.INVOKED:
        raise NotYet(_TOO_EARLY[action], refused.message) from refused
    raise refused


_REACHED: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": _STOPPED,
    "pause": frozenset({Status.PAUSED}),
    "resume": frozenset({Status.RECORDING}),
}


_POSSIBLE: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": frozenset({Status.RECORDING, Status.PAUSED}),
    "pause": frozenset({Status.RECORDING}),
    "resume": frozenset({Status.PAUSED}),
}


_TOO_EARLY: Final[Mapping[Action, str]] = {
    "stop": "not_stoppable",
    "pause": "not_pausable",
    "resume": "not_resumable",
}
