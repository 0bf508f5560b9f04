"""The commands that publishers send: one struct per command, strict in every field.

A field that a struct does not define is an error, because an ignored misspelling of `user_ids`
would record everybody in the meeting.

Python does not check the fields when it constructs a struct. `encode_command` does, and so does the
worker.
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
    Metadata,
    Name,
    ProfileName,
    TrackPrefix,
    Uri,
    Uuid,
)

_WORKER_FIELDS: Final = frozenset(
    {"type", "id", "deadline", "app", "storage_profile", "metadata", "wait_for_session"}
)
_TRACK_WORKER_FIELDS: Final = _WORKER_FIELDS | {"custom_participant_ids", "max_seconds"}


class CommandBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of every command.

    `id` is the idempotency key. It is empty on a command that has no id yet, and then it is not
    encoded. The worker does not execute a command after its `deadline`. `app` names a configured
    app; without it the command is for the only app, or for the one called `default`. For `deadline`
    and `app`, null means that the field is not given.
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
                fault = "must lie in the years 1 to 9999 of UTC"
                raise RuleBroken("invalid_field", "deadline", fault) from error

    @property
    def command_type(self) -> str:
        """The field `type`, such as `stop_recording`."""
        return str(type(self).__struct_config__.tag)


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
        return _body(self, without=_TRACK_WORKER_FIELDS)


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
        return _body(self, without=_WORKER_FIELDS)


class Targeted(CommandBase, frozen=True, kw_only=True):
    """A command about existing recordings. Exactly one of three fields names them.

    `recording_id` names one recording. `start_id` is the `id` of the start command. `meeting_id`
    means all live recordings of the meeting, or those of one `kind`. Null means not given.
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
        target_count = sum(target is not None for target in targets)
        if target_count != 1:
            raise RuleBroken(
                "conflicting_fields" if target_count else "missing_field",
                None,
                "exactly one of `recording_id`, `start_id` and `meeting_id` must be given",
            )
        if self.kind is not None and self.meeting_id is None:
            raise RuleBroken("conflicting_fields", "kind", "goes only with `meeting_id`")


class StopRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="stop_recording",
):
    """Stop recordings. Safe at any time, even before the start was executed."""


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
    """Resume paused recordings."""


class SyncRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="sync_recording",
):
    """Read a recording now, publish its changes, and track it if it was not tracked.

    Files that turned up since are published, and so is each file's URL if it was signed anew.
    """

    recording_id: Uuid


class ReplayRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="replay_recording",
):
    """Publish all events of a recording again that are still kept, in order and with their ids.

    Exactly one of `recording_id` and `start_id` (the `id` of the start command) names it. If the
    message has a `reply_to`, the events go only there. The API is not asked. Null means not given.
    """

    schema_rules: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("recording_id", "start_id")
        ],
    }

    recording_id: Uuid | None = None
    start_id: CommandId | None = None

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        if (self.recording_id is None) == (self.start_id is None):
            raise RuleBroken(
                "missing_field" if self.recording_id is None else "conflicting_fields",
                None,
                "exactly one of `recording_id` and `start_id` must be given",
            )


Command = (
    StartTrackRecording
    | StartRecording
    | StopRecording
    | PauseRecording
    | ResumeRecording
    | SyncRecording
    | ReplayRecording
)

COMMAND_TYPES: Final[dict[str, type[Command]]] = {
    "start_track_recording": StartTrackRecording,
    "start_recording": StartRecording,
    "stop_recording": StopRecording,
    "pause_recording": PauseRecording,
    "resume_recording": ResumeRecording,
    "sync_recording": SyncRecording,
    "replay_recording": ReplayRecording,
}
"""Every command by its `type`, which is also its routing key."""


def secrets_of(command: Command) -> tuple[str, ...]:
    """All secrets of the command, longest first, to be removed from texts about it.

    If JSON writes a secret differently (a private key with line breaks), that form is listed too.
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


def _body(
    command: StartTrackRecording | StartRecording, *, without: frozenset[str]
) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(command))
    return {name: value for name, value in fields.items() if name not in without}
