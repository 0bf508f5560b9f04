"""The manifest of a recording in the archive: one JSON file that says what is there, and why.

It is a file next to the copies, not a message. Every field is always present, null if it has no
value. Readers should ignore unknown fields. A change that could break a reader gets a new
`version`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    Duration,
    InvokedTime,
    LearntBy,
    MeetingId,
    ObservedAt,
    RecordingId,
    RecordingKind,
    RecordingMetadata,
    RecordingStatus,
    SessionId,
    StartedTime,
    StartReason,
    StoppedTime,
    StopReason,
)
from recording_schemas.event_parts import (
    ParticipantWithoutFile,
    StatusError,
)
from recording_schemas.manifest_files import ManifestFile
from recording_schemas.manifest_people import ManifestParticipant, ManifestPerson

MANIFEST_NAME: Final = "manifest_v1"
"""The name of the manifest's JSON Schema."""


class ManifestRecording(msgspec.Struct, frozen=True, kw_only=True):
    """The recording, as it was last known."""

    recording_id: RecordingId
    meeting_id: MeetingId
    session_id: SessionId
    kind: RecordingKind
    app: Annotated[
        str,
        Meta(
            description="The app of the recording, as it is configured on the worker.",
            examples=["default"],
        ),
    ]
    status: RecordingStatus
    invoked_time: InvokedTime
    started_time: StartedTime
    stopped_time: StoppedTime
    recording_duration: Duration
    start_reason: StartReason
    stop_reason: StopReason
    error: StatusError


class ManifestStart(msgspec.Struct, frozen=True, kw_only=True):
    """The command that started the recording."""

    start_id: Annotated[
        str,
        Meta(
            description="The `id` of the command that started the recording.",
            examples=["weekly-2026-01-01-start"],
        ),
    ]
    metadata: RecordingMetadata
    asked_for: Annotated[
        tuple[ManifestPerson, ...],
        Meta(
            description="The people whom a track start named in `user_ids` or "
            "`custom_participant_ids`. Empty if it asked for everybody, and for composites.",
            examples=[
                [
                    {
                        "user_id": "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05",
                        "custom_participant_id": "alice@example.com",
                    }
                ]
            ],
        ),
    ]


class ManifestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One status of the recording, with the times that were known when the worker learnt of it."""

    status: Annotated[
        RecordingStatus,
        Meta(description="The status of the recording from then on.", examples=["RECORDING"]),
    ]
    observed_at: ObservedAt
    observed_by: LearntBy
    invoked_time: InvokedTime
    started_time: StartedTime
    stopped_time: StoppedTime
    stop_reason: StopReason
    error: StatusError


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that the archive has of one recording: people, files with checksums, and statuses.

    The worker writes it after the last file of a completed recording. If a file is archived later,
    it is written again.
    """

    version: Annotated[
        Literal[1],
        Meta(description="The version of this form.", examples=[1]),
    ]
    recording: Annotated[ManifestRecording, Meta(description="The recording.")]
    start: Annotated[
        ManifestStart | None,
        Meta(
            description="The command that started the recording. Null if another program started "
            "it.",
        ),
    ]
    participants: Annotated[
        tuple[ManifestParticipant, ...] | None,
        Meta(
            description="Everybody who was in the session, and everybody whom the start asked for. "
            "Null if the session's participants are not known."
        ),
    ]
    files: Annotated[
        tuple[ManifestFile, ...],
        Meta(description="Every file of the recording, in the order of `file_index`."),
    ]
    participants_without_file: Annotated[
        tuple[ParticipantWithoutFile, ...] | None,
        Meta(
            description="The people who should have a file and have none, as in "
            "`recording.completed.v1`. Null for composites, and if the participants are not known."
        ),
    ]
    timeline: Annotated[
        tuple[ManifestStatus, ...],
        Meta(description="Every status of the recording, in the order of the events."),
    ]
