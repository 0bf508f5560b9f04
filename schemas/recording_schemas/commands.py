"""What publishers send: one struct per command, strict in every member.

A member that a struct does not know is an error. A misspelt `user_ids` that went unnoticed would
record everybody in the room.

Constructing a struct in Python checks no member; `encode_command` does, and so does the worker.
"""

import json
from datetime import UTC
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recording_schemas.composite import (
    AudioConfig,
    BucketConfig,
    InteractiveConfig,
    RtmpOutConfig,
    StorageConfig,
    VideoConfig,
)
from recording_schemas.rules import RuleBroken
from recording_schemas.values import (
    CommandId,
    Deadline,
    Kind,
    Name,
    ProfileName,
    TrackPrefix,
    Uri,
    Uuid,
)

_NOT_FOR_THE_API: Final = frozenset({"type", "id", "deadline", "app", "storage_profile"})


class CommandBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members every command has.

    `id` is the idempotency key; empty only on a command that nobody has identified yet, and then
    left out when encoded. After `deadline` the command is not executed any more. `app` names a
    configured app; None means the only one, or of several the one called `default`. Null counts as
    not given for `deadline` and `app`.
    """

    id: CommandId = ""
    deadline: Deadline | None = None
    app: ProfileName | None = None

    def __post_init__(self) -> None:
        # Near the ends of the calendar an offset can lead out of it, and arithmetic would fail.
        if self.deadline is not None:
            try:
                self.deadline.astimezone(UTC)
            except OverflowError as error:
                says = "must lie in the years 1 to 9999 of UTC"
                raise RuleBroken("invalid_member", "deadline", says) from error

    @property
    def command_type(self) -> str:
        """The `type` member, such as `stop_recording`."""
        return str(type(self).__struct_config__.tag)


class TrackLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is recorded of each participant, and how the files' names begin."""

    media_kind: Literal["audio"] | UnsetType = UNSET
    file_name_prefix: TrackPrefix | UnsetType = UNSET


class TrackLayers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers of a track recording. The API knows one, named `default`."""

    default: TrackLayer | UnsetType = UNSET


UserIds = Annotated[
    tuple[Name, ...],
    Meta(min_length=1, max_length=100, description="a list of 1 to 100 participant ids"),
]


class StartTrackRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="start_track_recording",
):
    """Record each participant of a live meeting into a file of their own.

    `user_ids` are RealtimeKit's participant ids, not the customer's own; without it everybody is
    recorded.
    """

    meeting_id: Uuid
    user_ids: UserIds | UnsetType = UNSET
    layers: TrackLayers | UnsetType = UNSET

    def body(self) -> dict[str, Any]:
        """What the API is sent: exactly what the publisher gave, as JSON builtins."""
        return _body(self)


class StartRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="start_recording",
):
    """Record a meeting into one mixed file.

    `storage_profile` names a storage configured on the worker, so that its secrets need not
    travel; it excludes `storage_config`.
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
    max_seconds: Annotated[int, Meta(ge=60, le=86400)] | UnsetType = UNSET
    realtimekit_bucket_config: BucketConfig | UnsetType = UNSET
    rtmp_out_config: RtmpOutConfig | UnsetType = UNSET
    storage_config: StorageConfig | UnsetType | None = UNSET
    storage_profile: ProfileName | None = None
    url: Uri | UnsetType = UNSET
    video_config: VideoConfig | UnsetType = UNSET

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        if self.storage_profile is not None and self.storage_config:
            raise RuleBroken(
                "conflicting_members",
                "storage_profile",
                "cannot be given together with `storage_config`",
            )

    def body(self) -> dict[str, Any]:
        """What the API is sent: exactly what the publisher gave, as JSON builtins.

        Holds the secrets in clear. A `storage_profile` is not resolved here.
        """
        return _body(self)


class Targeted(CommandBase, frozen=True, kw_only=True):
    """A command about recordings that exist, named in exactly one of three ways.

    `start_id` is the `id` of the start command. `meeting_id` means every live recording of the
    meeting, or those of one `kind`. Null counts as not given.
    """

    schema_rules: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("recording_id", "start_id", "meeting_id")
        ],
        "if": {"required": ["kind"], "properties": {"kind": {"type": "string"}}},
        "then": {"required": ["meeting_id"], "properties": {"meeting_id": {"type": "string"}}},
    }

    recording_id: Uuid | None = None
    start_id: CommandId | None = None
    meeting_id: Uuid | None = None
    kind: Kind | None = None

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        targets = (self.recording_id, self.start_id, self.meeting_id)
        given = sum(target is not None for target in targets)
        if given != 1:
            raise RuleBroken(
                "conflicting_members" if given else "missing_member",
                None,
                "exactly one of `recording_id`, `start_id` and `meeting_id` must be given",
            )
        if self.kind is not None and self.meeting_id is None:
            raise RuleBroken("conflicting_members", "kind", "goes only with `meeting_id`")


class StopRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="stop_recording",
):
    """End recordings. Safe at any time, also before the start was executed."""


class PauseRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="pause_recording",
):
    """Pause recordings."""


class ResumeRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="resume_recording",
):
    """Go on with paused recordings."""


class SyncRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="sync_recording",
):
    """Read a recording again now, publish what is new, and adopt it if it was not known."""

    recording_id: Uuid


Command = (
    StartTrackRecording
    | StartRecording
    | StopRecording
    | PauseRecording
    | ResumeRecording
    | SyncRecording
)

COMMAND_TYPES: Final[dict[str, type[Command]]] = {
    "start_track_recording": StartTrackRecording,
    "start_recording": StartRecording,
    "stop_recording": StopRecording,
    "pause_recording": PauseRecording,
    "resume_recording": ResumeRecording,
    "sync_recording": SyncRecording,
}
"""Every command by its `type`, which is also its routing key."""


def secrets_of(command: Command) -> tuple[str, ...]:
    """Every secret the command carries, to be removed from what others say about it.

    A secret that JSON would write differently (a private key with its line breaks) is listed in
    that form too, longest first.
    """
    if not isinstance(command, StartRecording):
        return ()
    clear = [
        secret
        for parameter in (command.storage_config, command.rtmp_out_config)
        if isinstance(parameter, StorageConfig | RtmpOutConfig)
        for secret in parameter.secrets()
    ]
    escaped = [json.dumps(secret)[1:-1] for secret in clear]
    return tuple(sorted({*clear, *escaped}, key=len, reverse=True))


def _body(command: StartTrackRecording | StartRecording) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(command))
    return {name: value for name, value in members.items() if name not in _NOT_FOR_THE_API}
