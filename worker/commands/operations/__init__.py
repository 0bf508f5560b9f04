"""One function for each command: the requests that it sends to the API.

An operation gets a `context` with the claim and the API, and returns its observations. It writes
nothing: the caller commits the observations together with the outcome.

`start` starts recordings. `people` finds the people to record, and `awaited_session` checks whether
the session has begun. `own_recording` finds the recording of an earlier call. `call_time` computes
the time of that call by the API's clock. `control` stops, pauses and resumes what `control_targets`
finds. `sync` reads recordings again, and `replay` repeats their events. `api_lag` recognises a
recording that the API does not show yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from recording_schemas import (
    ArchiveRecording,
    Command,
    PauseRecording,
    ReplayRecording,
    ResumeRecording,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    SyncRecording,
)
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.operations.control import pause_recording, resume_recording, stop_recording
from worker.commands.operations.replay import replay_recording
from worker.commands.operations.start import start_recording, start_track_recording
from worker.commands.operations.sync import archive_recording, sync_recording
from worker.domain.command_keys import is_start
from worker.domain.errors import OutcomeUnknown, Unavailable

OPERATIONS: Final[Mapping[type, Callable[[Any, OperationContext], Awaitable[OperationResult]]]] = {
    StartTrackRecording: start_track_recording,
    StartRecording: start_recording,
    StopRecording: stop_recording,
    PauseRecording: pause_recording,
    ResumeRecording: resume_recording,
    SyncRecording: sync_recording,
    ReplayRecording: replay_recording,
    ArchiveRecording: archive_recording,
}
"""The operation of each command."""


async def execute(
    command: Command, context: OperationContext, *, timeout: float | None = None
) -> OperationResult:
    """Run the command's operation, for at most `timeout` seconds.

    Raises Refused, NotYet, Unavailable or OutcomeUnknown. If a start times out after its call, the
    API may have executed it. Every other operation can be repeated.
    """
    try:
        async with asyncio.timeout(timeout):
            return await OPERATIONS[type(command)](command, context)
    except TimeoutError as error:
        has_called = is_start(command) and context.progress.may_have_called
        failure = OutcomeUnknown if has_called else Unavailable
        raise failure("timeout", "the attempt took too long and was cancelled") from error
