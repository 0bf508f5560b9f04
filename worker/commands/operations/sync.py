"""Reads a recording again, even one of another service: for changes, or for the archive."""

import msgspec

from recording_schemas import ArchiveRecording, Status, SyncRecording
from worker.commands.operations.api_lag import is_new
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.errors import NotFound, NotYet, Refused, Unavailable
from worker.domain.recording import Recording
from worker.realtimekit.fetch import fetch_recording


async def sync_recording(command: SyncRecording, context: OperationContext) -> OperationResult:
    """Read the recording with its files, and publish URLs that were signed anew.

    A recording unknown to the store is adopted, as soon as the API reports a documented status, and
    no unfinished start may have begun it.
    """
    return await read_again(command.recording_id, context)


async def archive_recording(
    command: ArchiveRecording, context: OperationContext
) -> OperationResult:
    """Read the recording as `sync_recording` does, and queue all its files for the archive.

    The command succeeds when the files are queued. Raises Refused if the worker has no archive.
    """
    if not context.archives:
        raise Refused("archive_off", "the worker has no archive: WORKER_ARCHIVE_URL is not set")
    return await read_again(command.recording_id, context, archives_again=True)


async def read_again(
    recording_id: str, context: OperationContext, *, archives_again: bool = False
) -> OperationResult:
    """Read the recording with its files, and with the owners of all of them.

    Raises NotYet if the recording has just begun and the API does not find it, or if it is unknown
    and an unfinished start may have begun it.
    """
    known = context.known[0] if context.known else None
    recording_id = known.recording_id if known else recording_id
    try:
        observation = await fetch_recording(
            context.background_api(),
            recording_id,
            _unsearched(known) if known else None,
            app=context.app,
            observed_by="command",
            now=context.now,
        )
    except NotFound as error:
        if is_new(known, context):
            raise NotYet(error.code, error.message) from error
        raise
    snapshot = observation.snapshot
    if snapshot.unknown_status is not None and known is None:
        text = f"the API reports the status {snapshot.unknown_status}, which is not documented"
        raise NotYet("unknown_status", text)
    if known is None and await context.may_be_of_start(snapshot):
        text = "a start command of the recording's meeting is still being executed"
        raise NotYet("start_pending", text)
    observation = msgspec.structs.replace(
        observation, renews_urls=True, archives_again=archives_again
    )
    if snapshot.status is Status.UPLOADED and observation.files is None:
        context.progress.add(recording_id, observation)
        raise Unavailable("unavailable", "the participants of the session could not be read")
    return OperationResult(recording_ids=(recording_id,), observations=(observation,))


def _unsearched(recording: Recording) -> Recording:
    """The recording without its last list of files, so that the owners are always read."""
    return msgspec.structs.replace(recording, file_search=None)
