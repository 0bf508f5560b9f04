"""The command that records a meeting into one mixed file."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from recording_schemas.command_base import START_FIELDS, CommandBase, fields_without
from recording_schemas.composite import (
    AudioConfig,
    BucketConfig,
    InteractiveConfig,
    RtmpOutConfig,
    StorageConfig,
    VideoConfig,
)
from recording_schemas.rules import RuleBroken
from recording_schemas.values import MaxSeconds, Metadata, Name, ProfileName, Uri, Uuid


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
        # Within `allOf`, because generators of types make "any" of a struct that has a "not".
        "allOf": [
            {
                "not": {
                    "title": "TwoStorages",
                    "type": "object",
                    "required": ["storage_profile", "storage_config"],
                    "properties": {
                        "storage_profile": {"type": "string"},
                        "storage_config": {"type": "object"},
                    },
                }
            }
        ]
    }

    meeting_id: Annotated[
        Uuid,
        Meta(
            description="The meeting to record: RealtimeKit's id, a UUID. It needs a live "
            "session, unless `wait_for_session` is true.",
            examples=["2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"],
        ),
    ]
    allow_multiple_recordings: Annotated[
        bool | UnsetType,
        Meta(
            description="With true the recording also starts while another one of the meeting "
            "runs. Without it the command is then rejected as `already_recording`.",
            examples=[True],
        ),
    ] = UNSET
    audio_config: Annotated[
        AudioConfig | UnsetType,
        Meta(
            description="How the sound is encoded.",
            examples=[{"codec": "AAC", "channel": "stereo"}],
        ),
    ] = UNSET
    file_name_prefix: Annotated[
        Name | UnsetType,
        Meta(
            description="The beginning of the file's name. Without it the API makes one of the "
            "meeting's title and the time.",
            examples=["weekly_sync"],
        ),
    ] = UNSET
    interactive_config: Annotated[
        InteractiveConfig | UnsetType,
        Meta(description="Adds timed metadata to the video.", examples=[{"type": "ID3"}]),
    ] = UNSET
    max_seconds: Annotated[
        MaxSeconds | UnsetType,
        Meta(
            description="The API stops the recording after this many seconds: a whole number "
            "from 60 to 86400. Without it after 86400.",
            examples=[7200],
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
    realtimekit_bucket_config: Annotated[
        BucketConfig | UnsetType,
        Meta(
            description="Whether RealtimeKit keeps the file in its own bucket, for seven days.",
            examples=[{"enabled": True}],
        ),
    ] = UNSET
    rtmp_out_config: Annotated[
        RtmpOutConfig | UnsetType,
        Meta(
            description="Streams the recording to an RTMP server as well.",
            examples=[{"rtmp_url": "rtmp://live.example.com/app/stream-key"}],
        ),
    ] = UNSET
    storage_config: Annotated[
        StorageConfig | UnsetType | None,
        Meta(
            description="Your own storage for the file, with its secrets. It cannot be "
            "combined with `storage_profile`. Null counts as absent.",
            examples=[
                {
                    "type": "aws",
                    "bucket": "company-recordings",
                    "region": "eu-central-1",
                    "access_key": "AKIAEXAMPLE",
                    "secret": "example",
                }
            ],
        ),
    ] = UNSET
    storage_profile: Annotated[
        ProfileName | None,
        Meta(
            description="The name of a storage that is configured on the worker, so that the "
            "command carries no secret. It cannot be combined with `storage_config`. Null "
            "counts as absent.",
            examples=["archive"],
        ),
    ] = None
    url: Annotated[
        Uri | UnsetType,
        Meta(
            description="A page to record in place of the meeting's own layout.",
            examples=["https://example.com/layout"],
        ),
    ] = UNSET
    video_config: Annotated[
        VideoConfig | UnsetType,
        Meta(
            description="How the pictures are encoded.",
            examples=[{"codec": "H264", "width": 1280, "height": 720}],
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
        return fields_without(self, START_FIELDS)
