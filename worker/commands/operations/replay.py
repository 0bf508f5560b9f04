"""Publishes the events of a recording again. It makes no request to the API."""

from recording_schemas import ReplayRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import Refused


async def replay_recording(command: ReplayRecording, context: OperationContext) -> OperationResult:
    """Publish all kept events of the recordings again.

    If a start led to several recordings, all of them are replayed. Raises Refused if no recording
    is known, or if none of its events is kept.
    """
    known = tuple(recording.recording_id for recording in context.known)
    if not known:
        raise Refused("not_found", f"{_subject(command)} is not known")
    kept = await context.find_replayable(known)
    replayed = tuple(recording_id for recording_id in known if recording_id in kept)
    if not replayed:
        raise Refused("not_kept", f"no event of {_subject(command)} is kept any more")
    return OperationResult(recording_ids=replayed, replay_ids=replayed)


def _subject(command: ReplayRecording) -> str:
    if command.recording_id is not None:
        return f"recording {command.recording_id}"
    return f"a recording of the start command {command.start_id!r}"
