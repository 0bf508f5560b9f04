"""The people in a manifest, and their stays in the session."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    CustomParticipantId,
    PeerId,
    UserId,
)
from recording_schemas.event_parts import (
    DisplayName,
    JoinedAt,
    LeftAt,
    PresetName,
)


class ManifestPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom the start asked for."""

    user_id: UserId
    custom_participant_id: CustomParticipantId


class ManifestStay(msgspec.Struct, frozen=True, kw_only=True):
    """One stay of a person in the session."""

    peer_id: PeerId
    joined_at: JoinedAt
    left_at: LeftAt
    files: Annotated[
        tuple[str, ...],
        Meta(
            description="The `file_name` of each file of this stay.",
            examples=[["weekly_sync_2026.webm"]],
        ),
    ]


class ManifestParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """A person who was in the session, or whom the start asked for."""

    user_id: UserId
    custom_participant_id: CustomParticipantId
    display_name: DisplayName
    preset_name: PresetName
    expected: Annotated[
        bool,
        Meta(
            description="Whether the person should have a file: the start asked for the person, or "
            "it named no people and the person was in the session while it was recorded. False "
            "for composites.",
            examples=[True],
        ),
    ]
    stays: Annotated[
        tuple[ManifestStay, ...],
        Meta(
            description="Each stay in the session. Empty if the person never joined.",
            examples=[
                [
                    {
                        "peer_id": "c9e8d7b6-a504-4392-8170-6f5e4d3c2b07",
                        "joined_at": "2026-01-01T10:00:05Z",
                        "left_at": "2026-01-01T10:30:05Z",
                        "files": ["weekly_sync_2026.webm"],
                    }
                ]
            ],
        ),
    ]
    files: Annotated[
        tuple[str, ...],
        Meta(
            description="The `file_name` of each file of the person, also if its stay is not "
            "certain.",
            examples=[["weekly_sync_2026.webm"]],
        ),
    ]
