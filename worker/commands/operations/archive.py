"""Archives the files of a recording again."""

from recording_schemas import ArchiveRecording
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import Refused


async def archive_recording(
    _command: ArchiveRecording, _context: OperationContext
) -> OperationResult:
    """Refuse the command, because the worker has no archive."""
    raise Refused("archive_off", "the worker has no archive: WORKER_ARCHIVE_URL is not set")
