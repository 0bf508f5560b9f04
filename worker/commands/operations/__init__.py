"""What each command asks of the API: one function per command.

They read the claim, call the API and return what they saw. They write nothing: the caller commits
what they return, so that a command's effects and its outcome become durable together.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from recording_schemas import (
    Command,
    PauseRecording,
    ResumeRecording,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    SyncRecording,
)
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.operations.control import pause_recording, resume_recording, stop_recording
from worker.commands.operations.start import start_recording, start_track_recording
from worker.commands.operations.sync import sync_recording

HANDLERS: Final[Mapping[type, Callable[[Any, OperationContext], Awaitable[OperationResult]]]] = {
    StartTrackRecording: start_track_recording,
    StartRecording: start_recording,
    StopRecording: stop_recording,
    PauseRecording: pause_recording,
    ResumeRecording: resume_recording,
    SyncRecording: sync_recording,
}
"""What the worker does, at one glance."""


async def execute(command: Command, attempt: OperationContext) -> OperationResult:
    """Run the command's function. Raises the errors of `worker.domain.errors`."""
    return await HANDLERS[type(command)](command, attempt)
