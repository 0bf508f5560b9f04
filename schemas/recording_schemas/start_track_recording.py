"""The command that records each participant into a separate file."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recording_schemas.command_base import START_FIELDS, CommandBase, fields_without
from recording_schemas.values import MaxSeconds, Metadata, Name, TrackPrefix, Uuid

_WORKER_FIELDS: Final = START_FIELDS | {"custom_participant_ids", "max_seconds"}


class TrackLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record of each participant, and the prefix of the file names."""

    media_kind: Annotated[
        Literal["audio"] | UnsetType,
        Meta(
            description="What to record of each participant. The API has sound only.",
            examples=["audio"],
        ),
    ] = UNSET
    file_name_prefix: Annotated[
        TrackPrefix | UnsetType,
        Meta(
            description="The beginning of each file's name: letters, digits, underscores, "
            "hyphens and spaces. Without it the API uses `default`.",
            examples=["weekly_sync"],
        ),
    ] = UNSET


class TrackLayers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers of a track recording. The API has one, named `default`."""

    default: Annotated[
        TrackLayer | UnsetType,
        Meta(
            description="The one layer that the API has.",
            examples=[{"media_kind": "audio", "file_name_prefix": "weekly_sync"}],
        ),
    ] = UNSET


UserIds = Annotated[
    tuple[Name, ...],
    Meta(min_length=1, max_length=100, extra={"rule": "a list of 1 to 100 participant ids"}),
]
CustomParticipantIds = Annotated[
    tuple[Name, ...],
    Meta(min_length=1, max_length=100, extra={"rule": "a list of 1 to 100 ids of your own"}),
]


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

    meeting_id: Annotated[
        Uuid,
        Meta(
            description="The meeting to record: RealtimeKit's id, a UUID. It needs a live "
            "session, unless `wait_for_session` is true.",
            examples=["2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"],
        ),
    ]
    user_ids: Annotated[
        UserIds | UnsetType,
        Meta(
            description="Whom to record: 1 to 100 of RealtimeKit's participant ids. An id that "
            "no participant of the meeting has ends the command as `unknown_participant`. "
            "Without this and `custom_participant_ids` everybody is recorded.",
            examples=[["aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05"]],
        ),
    ] = UNSET
    custom_participant_ids: Annotated[
        CustomParticipantIds | UnsetType,
        Meta(
            description="Whom to record: 1 to 100 ids that your application gave the "
            "participants. The worker finds the participants who have them. Several may "
            "have the same id. Both lists together may name at most 100 different people.",
            examples=[["bob@example.com"]],
        ),
    ] = UNSET
    max_seconds: Annotated[
        MaxSeconds | UnsetType,
        Meta(
            description="The worker stops the recording this many seconds after its first "
            "RECORDING: a whole number from 60 to 86400. Without it the recording ends with "
            "the session.",
            examples=[5400],
        ),
    ] = UNSET
    wait_for_session: Annotated[
        bool | UnsetType,
        Meta(
            description="With true the start is kept until the meeting's session begins, at "
            "most until its `deadline`, or for `WORKER_SESSION_WAIT_SECONDS` (86400). Without "
            "it a start for a meeting without a session is refused.",
            examples=[True],
        ),
    ] = UNSET
    layers: Annotated[
        TrackLayers | UnsetType,
        Meta(
            description="What to record of each participant, and how to name the files.",
            examples=[{"default": {"file_name_prefix": "weekly_sync"}}],
        ),
    ] = UNSET
    metadata: Annotated[
        Metadata | None,
        Meta(
            description="At most 16 strings of your own: names of 1 to 64 characters, values "
            "of at most 512. The worker never reads them. Every event of the recording and "
            "every outcome of the start carry them. Null counts as absent.",
            examples=[{"case": "2026-0117", "team": "support"}],
        ),
    ] = None

    def body(self) -> dict[str, Any]:
        """The fields of the command that the API has, as JSON builtins.

        It does not resolve `custom_participant_ids`.
        """
        return fields_without(self, _WORKER_FIELDS)
