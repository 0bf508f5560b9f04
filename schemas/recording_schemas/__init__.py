"""The messages of recording-worker: commands to publish, events to subscribe to.

Import from here; from `faststream` what is for FastStream. The modules behind:

Commands: `commands` has their types, `command_base` what all have in common. `start_recording`,
`start_track_recording` and `composite` are for starts, `control_commands` for all others. `decode`
reads a message: `body_encoding`, `cloud_events`, `numbers`, `leap_seconds` and `metadata` accept
what publishers send, `unique_names` and `deadline_text` refuse what could be misread. `explain`
words what is wrong by means of `rules`. `almost_json` finds the id in a body that is not JSON.

Events: `events` has their types, and `envelope` the CloudEvent around them. They are in
`recording_events`, `outcome_events` and `archive_events`, and are made of `event_fields`,
`event_parts` and `archive_fields`. `values` are shared by commands and events. `manifest` is that
of the archive, with `manifest_files` and `manifest_people`.

Codes: `error_codes` has all of them, each an `error_code`, from `rejected_codes`, `failed_codes`
and `archive_codes`.

Documents: `export` writes them. `json_schema` and `asyncapi` (with `asyncapi_parts`) are for
programs, `message_page` and `error_page` for people. `examples` has one of each message, made of
`example_values` and `archive_examples`. `yaml_format` writes YAML.
"""

from recording_schemas.archive_events import Archived, ArchiveFailed, FileArchived
from recording_schemas.commands import COMMAND_TYPES, Command, secrets_of
from recording_schemas.composite import (
    AudioConfig,
    BucketConfig,
    InteractiveConfig,
    RtmpOutConfig,
    StorageConfig,
    VideoConfig,
    Watermark,
    WatermarkSize,
)
from recording_schemas.control_commands import (
    ArchiveRecording,
    PauseRecording,
    ReplayRecording,
    ResumeRecording,
    StopRecording,
    SyncRecording,
)
from recording_schemas.decode import Malformed, decode_command, encode_command, too_large
from recording_schemas.envelope import (
    DATASCHEMA,
    EVENT_CONTENT_TYPE,
    CloudEvent,
    NotAnEvent,
    decode_event,
    encode_event,
)
from recording_schemas.error_code import ErrorCode
from recording_schemas.error_codes import ERROR_CODES, error_section, with_error_section
from recording_schemas.event_parts import (
    ErrorInfo,
    ParticipantInfo,
    ParticipantWithoutFile,
    StorageInfo,
)
from recording_schemas.events import (
    EVENT_TYPES,
    ArchiveEvent,
    EventData,
    Outcome,
    exchange_of,
    outcome_of,
    routing_key,
)
from recording_schemas.manifest import Manifest, ManifestRecording, ManifestStart, ManifestStatus
from recording_schemas.manifest_files import FileState, ManifestFile
from recording_schemas.manifest_people import ManifestParticipant, ManifestPerson, ManifestStay
from recording_schemas.outcome_events import (
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
)
from recording_schemas.recording_events import (
    Completed,
    FileEvent,
    FileReady,
    FileUrlRenewed,
    StatusChanged,
)
from recording_schemas.start_recording import StartRecording
from recording_schemas.start_track_recording import (
    StartTrackRecording,
    TrackLayer,
    TrackLayers,
)
from recording_schemas.values import Kind, Media, ObservedBy, Status

__all__ = [
    "COMMAND_TYPES",
    "DATASCHEMA",
    "ERROR_CODES",
    "EVENT_CONTENT_TYPE",
    "EVENT_TYPES",
    "ArchiveEvent",
    "ArchiveFailed",
    "ArchiveRecording",
    "Archived",
    "AudioConfig",
    "BucketConfig",
    "CloudEvent",
    "Command",
    "CommandExpired",
    "CommandFailed",
    "CommandRejected",
    "CommandSucceeded",
    "Completed",
    "ErrorCode",
    "ErrorInfo",
    "EventData",
    "FileArchived",
    "FileEvent",
    "FileReady",
    "FileState",
    "FileUrlRenewed",
    "InteractiveConfig",
    "Kind",
    "Malformed",
    "Manifest",
    "ManifestFile",
    "ManifestParticipant",
    "ManifestPerson",
    "ManifestRecording",
    "ManifestStart",
    "ManifestStatus",
    "ManifestStay",
    "Media",
    "NotAnEvent",
    "ObservedBy",
    "Outcome",
    "ParticipantInfo",
    "ParticipantWithoutFile",
    "PauseRecording",
    "ReplayRecording",
    "ResumeRecording",
    "RtmpOutConfig",
    "StartRecording",
    "StartTrackRecording",
    "Status",
    "StatusChanged",
    "StopRecording",
    "StorageConfig",
    "StorageInfo",
    "SyncRecording",
    "TrackLayer",
    "TrackLayers",
    "VideoConfig",
    "Watermark",
    "WatermarkSize",
    "decode_command",
    "decode_event",
    "encode_command",
    "encode_event",
    "error_section",
    "exchange_of",
    "outcome_of",
    "routing_key",
    "secrets_of",
    "too_large",
    "with_error_section",
]
