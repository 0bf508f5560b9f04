"""The files in a manifest."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    CustomParticipantId,
    FileIndex,
    FileName,
    Layer,
    MediaKind,
    PeerId,
    RecordedAt,
    StreamKind,
    UserId,
)
from recording_schemas.event_parts import (
    ErrorInfo,
    FileStorage,
)
from recording_schemas.values import Count, Time

FileState = Literal["archived", "queued", "failed", "external"]
"""Whether a file is in the archive. `external`: it is in your own storage already."""


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the recording."""

    file_name: FileName
    file_index: FileIndex
    state: Annotated[
        FileState,
        Meta(
            description="`archived`: the copy is complete and was compared. `queued`: it is to be "
            "copied, again if it has an `archive_url`. `failed`: it could not be copied. "
            "`external`: it is in your own storage already, and is not copied.",
            examples=["archived"],
        ),
    ]
    media_kind: MediaKind
    layer: Layer
    stream_kind: StreamKind
    user_id: UserId
    peer_id: PeerId
    custom_participant_id: CustomParticipantId
    recorded_at: RecordedAt
    archive_url: Annotated[
        str | None,
        Meta(
            description="The place of the copy. Null if there is none.",
            examples=["s3://company-archive/default/2f1b7c3e-…/b3a4d7e2-…/weekly_sync.webm"],
        ),
    ]
    size_bytes: Annotated[
        Count | None,
        Meta(
            description="How many bytes the copy has. Null without a copy.",
            examples=[14680064],
        ),
    ]
    sha256: Annotated[
        str | None,
        Meta(
            description="The SHA-256 of the copy's bytes, 64 hexadecimal digits. Null without a "
            "copy.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]
    content_type: Annotated[
        str | None,
        Meta(
            description="The media type with which the copy was stored. Null without a copy.",
            examples=["audio/webm"],
        ),
    ]
    duration_seconds: Annotated[
        float | None,
        Meta(
            description="The length of the file in seconds, from its container. Null without a "
            "copy, and if the container does not have it.",
            examples=[1799.98],
        ),
    ]
    archived_at: Annotated[
        Time | None,
        Meta(
            description="When the copy was complete, RFC 3339. Null without a copy.",
            examples=["2026-01-01T10:31:02Z"],
        ),
    ]
    storage: FileStorage
    error: Annotated[
        ErrorInfo | None,
        Meta(
            description="Why the last attempt to copy the file failed. Null if it did not.",
            examples=[{"code": "url_expired", "message": "the URL of the file has expired"}],
        ),
    ]
