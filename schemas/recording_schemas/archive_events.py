"""The events of the archive: files that were copied to your own storage."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.archive_fields import (
    ArchivedAt,
    ArchiveUrl,
    ContentType,
    DurationSeconds,
    Sha256,
    SizeBytes,
)
from recording_schemas.event_fields import (
    CustomParticipantId,
    FileName,
    MediaKind,
    MeetingId,
    PeerId,
    RecordingId,
    RecordingKind,
    RecordingMetadata,
    SessionId,
    StartId,
    UserId,
)
from recording_schemas.event_parts import ErrorInfo, FileOwner
from recording_schemas.values import Count


class FileArchived(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording was copied to the archive, and the copy was compared.

    If the file is archived again, the event is published again, with a new id.
    """

    recording_id: RecordingId
    meeting_id: MeetingId
    session_id: SessionId
    kind: RecordingKind
    file_name: FileName
    media_kind: MediaKind
    user_id: UserId
    peer_id: PeerId
    custom_participant_id: CustomParticipantId
    participant: FileOwner
    archive_url: ArchiveUrl
    size_bytes: SizeBytes
    sha256: Sha256
    content_type: ContentType
    duration_seconds: DurationSeconds
    archived_at: ArchivedAt
    start_id: StartId
    metadata: RecordingMetadata


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """The last file of a completed recording was archived, and its manifest was written.

    If a file is archived later, or after `archive_recording`, the event follows again.
    """

    recording_id: RecordingId
    meeting_id: MeetingId
    kind: RecordingKind
    file_count: Annotated[
        Count,
        Meta(description="How many files of the recording are in the archive.", examples=[1]),
    ]
    total_bytes: Annotated[
        Count,
        Meta(
            description="The size of all these files together, in bytes.",
            examples=[14680064],
        ),
    ]
    manifest_url: Annotated[
        str,
        Meta(
            description="The place of the recording's manifest. It lists the participants, the "
            "files with their checksums, and every status. It needs your own credentials.",
            examples=["s3://company-archive/default/2f1b7c3e-…/b3a4d7e2-…/manifest.json"],
        ),
    ]
    start_id: StartId
    metadata: RecordingMetadata


class ArchiveFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording is not in the archive.

    With `final` true the worker has given the file up. Otherwise the storage refuses the file, and
    the worker tries again.
    """

    recording_id: RecordingId
    meeting_id: MeetingId
    kind: RecordingKind
    file_name: Annotated[
        str | None,
        Meta(
            description="The name of the file. Null if the recording's manifest could not be "
            "written.",
            examples=["weekly_sync_aaab7c10-…_c9e8d7b6-…_peer_audio_1767261605000.webm"],
        ),
    ]
    attempts: Annotated[
        Count,
        Meta(description="How many attempts the worker made at the file.", examples=[5]),
    ]
    final: Annotated[
        bool,
        Meta(
            description="True: the worker has given the file up, because no URL of it works any "
            "more, or because it is empty, too large, or may not be copied. False: the storage "
            "refused five times running. The file stays queued until the storage takes it.",
            examples=[False],
        ),
    ]
    error: Annotated[
        ErrorInfo,
        Meta(
            description="Why the last attempt failed.",
            examples=[
                {
                    "code": "storage_refused",
                    "message": "the storage responded with status 403 to the upload",
                }
            ],
        ),
    ]
    start_id: StartId
    metadata: RecordingMetadata
