"""The objects inside events."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    CustomParticipantId,
    ErrorCodeText,
    ErrorMessage,
    PeerId,
    UserId,
)
from recording_schemas.values import Time


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An error: `code` is for programs, `message` is for users.

    The codes `stalled` and `vanished` mean that the worker itself ended the recording; the API may
    still report another end.
    """

    code: ErrorCodeText
    message: ErrorMessage


class StorageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a file in your own storage."""

    type: Annotated[
        str,
        Meta(
            description="The kind of storage, as in `storage_config.type` of the start.",
            examples=["aws"],
        ),
    ]
    bucket: Annotated[
        str | None,
        Meta(
            description="The bucket or container. Null if the API does not report it.",
            examples=["company-recordings"],
        ),
    ]
    path: Annotated[
        str | None,
        Meta(
            description="The folder inside the bucket. Null if the API does not report it.",
            examples=["meetings/2026"],
        ),
    ]


DisplayName = Annotated[
    str | None,
    Meta(
        description="The name that others saw in the meeting. Null if the API names none.",
        examples=["Alice"],
    ),
]
PresetName = Annotated[
    str | None,
    Meta(
        description="The preset with the participant's permissions. Null if the API names none.",
        examples=["group_call_host"],
    ),
]
JoinedAt = Annotated[
    Time | None,
    Meta(
        description="The beginning of the stay, RFC 3339. Null if the API does not report it.",
        examples=["2026-01-01T10:00:05Z"],
    ),
]
LeftAt = Annotated[
    Time | None,
    Meta(
        description="The end of the stay, RFC 3339. Null while it lasts, and if the API does "
        "not report it.",
        examples=["2026-01-01T10:30:05Z"],
    ),
]


class ParticipantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of the session, during one stay."""

    user_id: UserId
    peer_id: PeerId
    custom_participant_id: CustomParticipantId
    display_name: DisplayName
    preset_name: PresetName
    joined_at: JoinedAt
    left_at: LeftAt


class ParticipantWithoutFile(msgspec.Struct, frozen=True, kw_only=True):
    """A person who should have a file and has none."""

    user_id: UserId
    custom_participant_id: CustomParticipantId
    joined: Annotated[
        bool,
        Meta(
            description="Whether the person was in the session while it was recorded.",
            examples=[True],
        ),
    ]


FileOwner = Annotated[
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
FileStorage = Annotated[
    StorageInfo | None,
    Meta(
        description="The place of the file in your own storage. Null if RealtimeKit keeps it.",
        examples=[{"type": "aws", "bucket": "company-recordings", "path": "meetings/2026"}],
    ),
]
StatusError = Annotated[
    ErrorInfo | None,
    Meta(
        description="Why the recording ended as ERRORED. Null with every other status.",
        examples=[{"code": "recording_errored", "message": "the upload failed"}],
    ),
]
