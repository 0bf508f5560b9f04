"""Reading a recording again, whoever started it."""

from recording_schemas import SyncRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.realtimekit.fetch import fetch_recording


async def sync_recording(command: SyncRecording, attempt: OperationContext) -> OperationResult:
    """Read a recording whole, whoever started it."""
    known = attempt.known[0] if attempt.known else None
    seen = await fetch_recording(
        attempt.background_api(),
        command.recording_id,
        known,
        app=attempt.app,
        observed_by="command",
        now=attempt.now,
    )
    return OperationResult(recording_ids=(command.recording_id,), observations=(seen,))
