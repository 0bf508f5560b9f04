"""The two commands that start a recording."""

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recording_schemas.command_base import CommandBase, fields_without
from recording_schemas.composite import (
    AudioConfig,
    BucketConfig,
    InteractiveConfig,
    RtmpOutConfig,
    StorageConfig,
    VideoConfig,
)
from recording_schemas.rules import RuleBroken
from recording_schemas.values import Metadata, Name, ProfileName, TrackPrefix, Uri, Uuid

_WORKER_FIELDS: Final = frozenset(
    {"type", "id", "deadline", "app", "storage_profile", "metadata", "wait_for_session"}
)
_TRACK_WORKER_FIELDS: Final = _WORKER_FIELDS | {"custom_participant_ids", "max_seconds"}


class TrackLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record of each participant, and the prefix of the file names."""

    media_kind: Literal["audio"] | UnsetType = UNSET
    file_name_prefix: TrackPrefix | UnsetType = UNSET


class TrackLayers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers of a track recording. The API has one, named `default`."""

    default: TrackLayer | UnsetType = UNSET


UserIds = Annotated[
    tuple[Name, ...],
    Meta(min_length=1, max_length=100, description="a list of 1 to 100 participant ids"),
]
CustomParticipantIds = Annotated[
    tuple[Name, ...],
    Meta(min_length=1, max_length=100, description="a list of 1 to 100 ids of your own"),
]
MaxSeconds = Annotated[int, Meta(ge=60, le=86400)]


class StartTrackRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="start_track_recording",
):
    """Record each participant of a live meeting into a separate file.

    `user_ids` are RealtimeKit's participant ids, `custom_participant_ids` are your own. Without
    both everybody is recorded. The worker stops the recording `max_seconds` after it began. With
    `wait_for_session` the start is kept until the meeting's session begins. `metadata` comes back
    with every event of the recording and every outcome of the start.
    """

    meeting_id: Uuid
    user_ids: UserIds | UnsetType = UNSET
    custom_participant_ids: CustomParticipantIds | UnsetType = UNSET
    max_seconds: MaxSeconds | UnsetType = UNSET
    wait_for_session: bool | UnsetType = UNSET
    layers: TrackLayers | UnsetType = UNSET
    metadata: Metadata | None = None

    def body(self) -> dict[str, Any]:
        """The fields of the command that the API has, as JSON builtins.

        It does not resolve `custom_participant_ids`.
        """
        return fields_without(self, _TRACK_WORKER_FIELDS)


class StartRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="start_recording",
):
    """Record a meeting into one mixed file.

    `storage_profile` names a storage that is configured on the worker, so that the command carries
    no secret. It cannot be combined with `storage_config`. `wait_for_session` and `metadata` are
    as in `start_track_recording`.
    """

    schema_rules: ClassVar[dict[str, Any]] = {
        "not": {
            "required": ["storage_profile", "storage_config"],
            "properties": {
                "storage_profile": {"type": "string"},
                "storage_config": {"type": "object"},
            },
        }
    }

    meeting_id: Uuid
    allow_multiple_recordings: bool | UnsetType = UNSET
    audio_config: AudioConfig | UnsetType = UNSET
    file_name_prefix: Name | UnsetType = UNSET
    interactive_config: InteractiveConfig | UnsetType = UNSET
    max_seconds: MaxSeconds | UnsetType = UNSET
    metadata: Metadata | None = None
    realtimekit_bucket_config: BucketConfig | UnsetType = UNSET
    rtmp_out_config: RtmpOutConfig | UnsetType = UNSET
    storage_config: StorageConfig | UnsetType | None = UNSET
    storage_profile: ProfileName | None = None
    url: Uri | UnsetType = UNSET
    video_config: VideoConfig | UnsetType = UNSET
    wait_for_session: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        if self.storage_profile is not None and self.storage_config:
            raise RuleBroken(
                "conflicting_fields",
                "storage_profile",
                "cannot be given together with `storage_config`",
            )

    def body(self) -> dict[str, Any]:
        """The API's request body: exactly the fields that the publisher gave, as JSON builtins.

        It holds the secrets in clear. It does not resolve a `storage_profile`.
        """
        return fields_without(self, _WORKER_FIELDS)
