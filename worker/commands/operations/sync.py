"""Reads a recording again, whoever started it."""

from recording_schemas import SyncRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import NotYet
from worker.realtimekit.fetch import fetch_recording


async def sync_recording(command: SyncRecording, context: OperationContext) -> OperationResult:
    """Read the recording with its files. A recording unknown to the store is adopted, as soon as
    the API reports a documented status."""
    observation = await fetch_recording(
        context.background_api(),
        command.recording_id,
        context.known[0] if context.known else None,
        app=context.app,
        observed_by="command",
        now=context.now,
    )
    unknown = observation.snapshot.unknown_status
    if unknown is not None and not context.known:
        text = f"the API reports the status {unknown}, which is not documented"
        raise NotYet("unknown_status", text)
    return OperationResult(recording_ids=(command.recording_id,), observations=(observation,))
