"""The events of a recording: its statuses, its files, its completion."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    CustomParticipantId,
    Duration,
    FileIndex,
    FileName,
    InvokedTime,
    Layer,
    LearntBy,
    MediaKind,
    MeetingId,
    ObservedAt,
    PeerId,
    RecordedAt,
    RecordingId,
    RecordingKind,
    RecordingMetadata,
    RecordingStatus,
    SessionId,
    StartedTime,
    StartId,
    StartReason,
    StoppedTime,
    StopReason,
    StreamKind,
    UserId,
)
from recording_schemas.event_parts import (
    FileOwner,
    FileStorage,
    ParticipantWithoutFile,
    StatusError,
)
from recording_schemas.values import Status, Time


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has a new status.

    Statuses never go backwards, except between RECORDING and PAUSED. Nothing follows UPLOADED or
    ERRORED, except the real status after an ERRORED with the error code `stalled` or `vanished`.
    """

    recording_id: RecordingId
    meeting_id: MeetingId
    session_id: SessionId
    kind: RecordingKind
    status: RecordingStatus
    previous_status: Annotated[
        Status | None,
        Meta(
            description="The status before. Null on the first event of a recording.",
            examples=["UPLOADING"],
        ),
    ]
    observed_by: LearntBy
    observed_at: ObservedAt
    invoked_time: InvokedTime
    started_time: StartedTime
    stopped_time: StoppedTime
    recording_duration: Duration
    output_file_name: Annotated[
        str | None,
        Meta(
            description="The API's name of the file. For a track recording it is a template with "
            "places for the participant. Null if the API names none.",
            examples=["weekly_sync_{{user_id}}_{{peer_id}}.webm"],
        ),
    ]
    start_reason: StartReason
    stop_reason: StopReason
    start_id: StartId
    error: StatusError
    metadata: RecordingMetadata


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording."""

    recording_id: RecordingId
    meeting_id: MeetingId
    session_id: SessionId
    kind: RecordingKind
    layer: Layer
    file_name: FileName
    user_id: UserId
    peer_id: PeerId
    custom_participant_id: CustomParticipantId
    stream_kind: StreamKind
    media_kind: MediaKind
    recorded_at: RecordedAt
    download_url: Annotated[
        str | None,
        Meta(
            description="The presigned URL of the file. Fetch it without an Authorization header. "
            "RealtimeKit keeps the file and the URL for seven days. It is a secret: anyone who "
            "has it can read the file. Null if the file is in your own storage.",
            examples=["https://files.example.com/weekly_sync.webm?signature=old"],
        ),
    ]
    download_url_expiry: Annotated[
        Time | None,
        Meta(
            description="When the URL expires, RFC 3339: seven days after the upload. Null if the "
            "API does not report it.",
            examples=["2026-01-08T10:30:40Z"],
        ),
    ]
    file_index: FileIndex
    file_count: Annotated[
        int,
        Meta(
            description="How many files of the recording were found by then. It can grow.",
            examples=[2],
        ),
    ]
    storage: FileStorage
    start_id: StartId
    participant: FileOwner
    metadata: RecordingMetadata


class FileReady(FileEvent, frozen=True, kw_only=True):
    """A finished file of a recording can be downloaded."""


class FileUrlRenewed(FileEvent, frozen=True, kw_only=True):
    """A file that was announced before has a new URL."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has ended, and a `file_ready` event was published for each of its files, if any.

    If a file appears later, the event follows again, with the new count.
    """

    recording_id: RecordingId
    meeting_id: MeetingId
    kind: RecordingKind
    status: RecordingStatus
    file_count: Annotated[
        int,
        Meta(
            description="How many files the recording has. It can be 0, also with the status "
            "UPLOADED.",
            examples=[1],
        ),
    ]
    files: Annotated[
        tuple[str, ...],
        Meta(
            description="The `file_name` of each file, in the order of `file_index`.",
            examples=[["weekly_sync_2026.webm"]],
        ),
    ]
    recording_duration: Duration
    start_id: StartId
    participants_without_file: Annotated[
        tuple[ParticipantWithoutFile, ...] | None,
        Meta(
            description="The people who should have a file and have none: of the people whom the "
            "start asked for, or of the session's participants if it named no people. Null for "
            "composites, and if the participants are not known.",
            examples=[
                [
                    {
                        "user_id": "aaa2c4e6-8a0b-4c1d-9e2f-3a4b5c6d7e06",
                        "custom_participant_id": "bob@example.com",
                        "joined": True,
                    }
                ]
            ],
        ),
    ]
    metadata: RecordingMetadata
