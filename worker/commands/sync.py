"""Reading a recording again, whoever started it."""

from recording_schemas import SyncRecording
from worker.commands.attempt import Attempt, Done
from worker.harvest import read_whole


async def sync_recording(command: SyncRecording, attempt: Attempt) -> Done:
    """Read a recording whole, whoever started it."""
    known = attempt.known[0] if attempt.known else None
    seen = await read_whole(
        attempt.reading(),
        command.recording_id,
        known,
        app=attempt.app,
        observed_by="command",
        now=attempt.now,
    )
    return Done(recording_ids=(command.recording_id,), seen=(seen,))
