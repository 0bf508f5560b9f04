"""Finds the recordings that a stop, pause or resume acts on: in the store and in the API's list."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from recording_schemas import Kind, PauseRecording, ResumeRecording, Status, StopRecording
from worker.commands.operations.api_lag import is_new
from worker.commands.operations.context import OperationContext
from worker.domain.errors import NotFound, NotYet, Refused, StartUnknown, Unavailable
from worker.domain.recording import LIVE, STOPPED, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_all_recordings
from worker.realtimekit.models import Action

ControlCommand = StopRecording | PauseRecording | ResumeRecording

Failure = NotYet | Refused | Unavailable


class Target(msgspec.Struct, frozen=True):
    """A recording to act on, with its status if that is certain.

    `is_new`: it has just begun. `is_known`: the store has it. `listed`: what the API's list shows.
    If the API answers 404 for a new or a listed recording, that does not mean that it is gone.
    """

    recording_id: str
    status: Status | None = None
    is_new: bool = False
    is_known: bool = False
    listed: Observation | None = None


async def find_targets(
    command: ControlCommand, context: OperationContext, action: Action, api: RealtimeKitClient
) -> tuple[list[Target], list[Failure]]:
    """The recordings to act on, and why the command cannot succeed yet."""
    if command.recording_id is not None:
        return _known_targets(context) or [Target(command.recording_id)], []
    if command.start_id is not None:
        return _started_targets(command.start_id, context, action), []
    assert command.meeting_id is not None  # noqa: S101 - exactly one of the three is given
    statuses = LIVE if action == "stop" else LIVE - STOPPED
    return await _targets_in_meeting(command.meeting_id, command.kind, statuses, context, api)


def _known_targets(context: OperationContext) -> list[Target]:
    return [_known_target(recording, context) for recording in context.known]


def _known_target(recording: Recording, context: OperationContext) -> Target:
    return Target(
        recording.recording_id,
        None if recording.timed_out else recording.status,
        is_new=is_new(recording, context),
        is_known=True,
    )


def _started_targets(start_id: str, context: OperationContext, action: Action) -> list[Target]:
    targets = _known_targets(context)
    if targets:
        return targets
    match context.start_state:
        case "cancelled" if action == "stop":
            return []
        case "cancelled" | "done":
            text = f"the start command {start_id!r} ended without a recording"
            raise Refused("start_failed", text)
        case "pending":
            raise NotYet("start_pending", f"the start command {start_id!r} has no recording yet")
        case _:
            raise StartUnknown(start_id)


async def _targets_in_meeting(
    meeting_id: str,
    kind: Kind | None,
    statuses: frozenset[Status],
    context: OperationContext,
    api: RealtimeKitClient,
) -> tuple[list[Target], list[Failure]]:
    """The meeting's recordings that are live according to the API's list or to the store.

    Both are needed: the list lags behind and may fail, and the store does not have every recording.
    """
    failures: list[Failure] = []
    if context.starts_pending:
        text = "a start command of this meeting has no recording yet"
        failures.append(NotYet("start_pending", text))
    known = {recording.recording_id: recording for recording in context.known}
    listed: list[RecordingSnapshot] = []
    asked_at = context.now()
    try:
        found = await fetch_all_recordings(api, meeting_id=meeting_id, statuses=sorted(statuses))
        listed = [in_meeting(snapshot, meeting_id) for snapshot in found]
        context.observe_changes(listed, asked_at)
    except (Refused, Unavailable) as error:
        # A meeting that the API does not know is a failure only if there is nothing to act on.
        if not (isinstance(error, NotFound) and (known or context.has_acted)):
            failures.append(error)
    targets = {
        snapshot.recording_id: _listed_target(snapshot, asked_at, context, known)
        for snapshot in listed
        if kind in {None, _kind(known.get(snapshot.recording_id), snapshot)}
    }
    unlisted = [
        _known_target(recording, context)
        for recording in known.values()
        if recording.recording_id not in targets
        and recording.status in statuses
        and kind in {None, recording.kind}
    ]
    return [*targets.values(), *unlisted], failures


def in_meeting(snapshot: RecordingSnapshot, meeting_id: str | None) -> RecordingSnapshot:
    """The snapshot with the command's meeting, if it shows none."""
    return msgspec.structs.replace(snapshot, meeting_id=snapshot.meeting_id or meeting_id)


def _kind(known: Recording | None, snapshot: RecordingSnapshot) -> Kind | None:
    """The list may lack the kind of a recording; the store has it."""
    return known.kind if known else snapshot.kind


def _listed_target(
    snapshot: RecordingSnapshot,
    asked_at: datetime,
    context: OperationContext,
    known: Mapping[str, Recording],
) -> Target:
    recording = known.get(snapshot.recording_id)
    return Target(
        snapshot.recording_id,
        snapshot.status,
        is_known=recording is not None,
        listed=context.observation(snapshot, asked_at),
    )
