"""The events of a recording: its statuses, its files, its completion."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    CustomParticipantId,
    Duration,
    MeetingId,
    PeerId,
    RecordingId,
    RecordingKind,
    RecordingMetadata,
    RecordingStatus,
    SessionId,
    StartId,
    UserId,
)
from recording_schemas.event_parts import (
    ErrorInfo,
    ParticipantInfo,
    ParticipantWithoutFile,
    StorageInfo,
)
from recording_schemas.values import Media, ObservedBy, Status, Time


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has a new status.

    Statuses never go backwards, except between RECORDING and PAUSED. Nothing follows UPLOADED or
    ERRORED, except the truth after an ERRORED with the error code `stalled` or `vanished`.
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
    observed_by: Annotated[
        ObservedBy,
        Meta(
            description="Where the worker learnt of the status first: the answer to a `command`, a "
            "`webhook` of the API, or a `sweep` of its list.",
            examples=["webhook"],
        ),
    ]
    observed_at: Annotated[
        Time,
        Meta(
            description="When the worker learnt of the status, RFC 3339.",
            examples=["2026-01-01T10:30:40Z"],
        ),
    ]
    invoked_time: Annotated[
        Time | None,
        Meta(
            description="When the API took the start, RFC 3339. Null until the API reports it.",
            examples=["2026-01-01T10:00:00Z"],
        ),
    ]
    started_time: Annotated[
        Time | None,
        Meta(
            description="When the recording began, RFC 3339. Null until the API reports it.",
            examples=["2026-01-01T10:00:05Z"],
        ),
    ]
    stopped_time: Annotated[
        Time | None,
        Meta(
            description="When the recording stopped, RFC 3339. Null until the API reports it.",
            examples=["2026-01-01T10:30:05Z"],
        ),
    ]
    recording_duration: Duration
    output_file_name: Annotated[
        str | None,
        Meta(
            description="The API's name of the file. For a track recording it is a template with "
            "places for the participant. Null if the API names none.",
            examples=["weekly_sync_{{user_id}}_{{peer_id}}.webm"],
        ),
    ]
    start_reason: Annotated[
        str | None,
        Meta(
            description="The API's reason for the start, such as API_CALL or RECORD_ON_START. Null "
            "if it gives none.",
            examples=["API_CALL"],
        ),
    ]
    stop_reason: Annotated[
        str | None,
        Meta(
            description="The API's reason for the stop, such as API_CALL, ALL_PEERS_LEFT or "
            "INTERNAL_ERROR. Null if it gives none.",
            examples=["ALL_PEERS_LEFT"],
        ),
    ]
    start_id: StartId
    error: Annotated[
        ErrorInfo | None,
        Meta(
            description="Why the recording ended as ERRORED. Null with every other status.",
            examples=[{"code": "recording_errored", "message": "the upload failed"}],
        ),
    ]
    metadata: RecordingMetadata


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording."""

    recording_id: RecordingId
    meeting_id: MeetingId
    session_id: SessionId
    kind: RecordingKind
    layer: Annotated[
        str | None,
        Meta(
            description="The layer of a track recording. Null for composites.",
            examples=["default"],
        ),
    ]
    file_name: Annotated[
        str,
        Meta(
            description="The name of the file. It is unique within the recording.",
            examples=["weekly_sync_aaab7c10-…_c9e8d7b6-…_peer_audio_1767261605000.webm"],
        ),
    ]
    user_id: UserId
    peer_id: PeerId
    custom_participant_id: CustomParticipantId
    stream_kind: Annotated[
        str | None,
        Meta(
            description="The stream that was recorded, from the file name, such as `peer`. Null "
            "for composites, and if the name does not say.",
            examples=["peer"],
        ),
    ]
    media_kind: Annotated[
        Media,
        Meta(description="Whether the file has sound only, or pictures.", examples=["audio"]),
    ]
    recorded_at: Annotated[
        Time | None,
        Meta(
            description="When the file begins, RFC 3339, from the file name. Null if the name does "
            "not say.",
            examples=["2026-01-01T10:00:05Z"],
        ),
    ]
    download_url: Annotated[
        str | None,
        Meta(
            description="The presigned URL of the file. Fetch it without an Authorization header. "
            "RealtimeKit keeps the file and the URL for seven days. It is a secret: whoever has it "
            "can read the file. Null if the file is in your own storage.",
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
    file_index: Annotated[
        int,
        Meta(description="The number of the file in its recording, from 1.", examples=[1]),
    ]
    file_count: Annotated[
        int,
        Meta(
            description="How many files of the recording were found by then. It can grow.",
            examples=[2],
        ),
    ]
    storage: Annotated[
        StorageInfo | None,
        Meta(
            description="The place of the file in your own storage. Null if RealtimeKit keeps it.",
            examples=[{"type": "aws", "bucket": "company-recordings", "path": "meetings/2026"}],
        ),
    ]
    start_id: StartId
    participant: Annotated[
        ParticipantInfo | None,
        Meta(
            description="The participant of the session who owns the file of a track recording. "
            "Null for composites, and if the owner is not certain.",
            examples=[
                {
                    "user_id": "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05",
                    "peer_id": "c9e8d7b6-a504-4392-8170-6f5e4d3c2b07",
                    "custom_participant_id": "alice@example.com",
                    "display_name": "Alice",
                    "preset_name": "group_call_host",
                    "joined_at": "2026-01-01T10:00:05Z",
                    "left_at": "2026-01-01T10:30:05Z",
                }
            ],
        ),
    ]
    metadata: RecordingMetadata


class FileReady(FileEvent, frozen=True, kw_only=True):
    """A finished file of a recording can be downloaded."""


class FileUrlRenewed(FileEvent, frozen=True, kw_only=True):
    """A file that was announced before has a new URL."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has ended, and a `file_ready` event was published for each of its files, if any.

    If a file turns up later, the event follows again, with the new count.
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
            "start asked for, or of the session's participants if it asked for nobody. Null for "
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
