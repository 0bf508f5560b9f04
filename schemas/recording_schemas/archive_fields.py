"""The fields of a copy in the archive, for events and the manifest."""

from typing import Annotated

from msgspec import Meta

from recording_schemas.values import Count, Time

ArchiveUrl = Annotated[
    str,
    Meta(
        description="The place of the copy: `s3://bucket/key`, `gs://…`, `az://…` or `file:///…`. "
        "It needs your own credentials, and it does not expire.",
        examples=["s3://company-archive/default/2f1b7c3e-…/b3a4d7e2-…/weekly_sync.webm"],
    ),
]
SizeBytes = Annotated[Count, Meta(description="How many bytes the copy has.", examples=[14680064])]
Sha256 = Annotated[
    str,
    Meta(
        description="The SHA-256 of the file's bytes, 64 hexadecimal digits. It was computed while "
        "the file was copied.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        extra_json_schema={"pattern": "^[0-9a-f]{64}$"},
    ),
]
ContentType = Annotated[
    str,
    Meta(description="The media type with which the copy was stored.", examples=["audio/webm"]),
]
DurationSeconds = Annotated[
    float | None,
    Meta(
        description="The length of the file in seconds, from its container. Null if the container "
        "does not have it.",
        examples=[1799.98],
    ),
]
ArchivedAt = Annotated[
    Time,
    Meta(description="When the copy was complete, RFC 3339.", examples=["2026-01-01T10:31:02Z"]),
]
