"""The commands that publishers send: one struct per command, strict in every field.

A field that a struct does not define is an error, because an ignored misspelling of `user_ids`
would record everybody in the meeting.

Python does not check the fields when it constructs a struct. `encode_command` does, and so does the
worker.
"""

import json
from typing import Final

from recording_schemas.composite import RtmpOutConfig, StorageConfig
from recording_schemas.control_commands import (
    ArchiveRecording,
    PauseRecording,
    ReplayRecording,
    ResumeRecording,
    StopRecording,
    SyncRecording,
)
from recording_schemas.start_recording import StartRecording
from recording_schemas.start_track_recording import StartTrackRecording

Command = (
    StartTrackRecording
    | StartRecording
    | StopRecording
    | PauseRecording
    | ResumeRecording
    | SyncRecording
    | ReplayRecording
    | ArchiveRecording
)

COMMAND_TYPES: Final[dict[str, type[Command]]] = {
    "start_track_recording": StartTrackRecording,
    "start_recording": StartRecording,
    "stop_recording": StopRecording,
    "pause_recording": PauseRecording,
    "resume_recording": ResumeRecording,
    "sync_recording": SyncRecording,
    "replay_recording": ReplayRecording,
    "archive_recording": ArchiveRecording,
}
"""Every command by its `type`, which is also its routing key."""


def secrets_of(command: Command) -> tuple[str, ...]:
    """All secrets of the command, longest first, to be removed from texts about it.

    If JSON writes a secret differently (a private key with line breaks), that form is listed too.
    """
    if not isinstance(command, StartRecording):
        return ()
    clear = [
        secret
        for parameter in (command.storage_config, command.rtmp_out_config)
        if isinstance(parameter, StorageConfig | RtmpOutConfig)
        for secret in parameter.secrets()
    ]
    escaped = [json.dumps(secret)[1:-1] for secret in clear]
    return tuple(sorted({*clear, *escaped}, key=len, reverse=True))
