"""The JSON bodies that the API accepts, one struct each."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

Pixels = Annotated[int, msgspec.Meta(ge=1, le=1920)]
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object in which an unknown field is an error."""


class TrackLayer(RequestBody, frozen=True, kw_only=True):
    """The form of a track recording's files."""

    media_kind: Literal["audio"] = "audio"
    file_name_prefix: Annotated[str, msgspec.Meta(pattern=r"^[-A-Za-z0-9_\s]+$")] | None = None


class TrackLayers(RequestBody, frozen=True, kw_only=True):
    """The layers of a track recording. `default` is the only one."""

    default: TrackLayer = TrackLayer()


class StartTrack(RequestBody, frozen=True, kw_only=True):
    """POST /recordings/track."""

    meeting_id: UUID
    layers: TrackLayers = TrackLayers()
    user_ids: Annotated[tuple[UserId, ...], msgspec.Meta(min_length=1, max_length=100)] | None = (
        None
    )


class Audio(RequestBody, frozen=True, kw_only=True):
    """The audio of a composite recording."""

    codec: Literal["MP3", "AAC"] = "AAC"
    channel: Literal["mono", "stereo"] = "stereo"
    export_file: bool = True


class Size(RequestBody, frozen=True, kw_only=True):
    """Size in pixels."""

    height: Annotated[int, msgspec.Meta(ge=1)] | None = None
    width: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Watermark(RequestBody, frozen=True, kw_only=True):
    """An image laid over the recording."""

    url: str | None = None
    position: Literal["left top", "right top", "left bottom", "right bottom"] = "left top"
    size: Size = Size()


class Video(RequestBody, frozen=True, kw_only=True):
    """The video of a composite recording."""

    codec: Literal["H264", "VP8", "VP9"] = "H264"
    width: Pixels = 1280
    height: Pixels = 720
    export_file: bool = True
    watermark: Watermark | None = None


class Bucket(RequestBody, frozen=True, kw_only=True):
    """The API's own storage."""

    enabled: bool


class Storage(RequestBody, frozen=True, kw_only=True):
    """The customer's storage."""

    type: Literal["aws", "azure", "digitalocean", "gcs", "sftp", "cloudflare"]
    account_id: str | None = None
    access_key: str | None = None
    secret: str | None = None
    bucket: str | None = None
    region: str | None = None
    path: str | None = None
    auth_method: Literal["KEY", "PASSWORD"] | None = None
    username: str | None = None
    password: str | None = None
    host: str | None = None
    port: float | None = None
    private_key: str | None = None


class Interactive(RequestBody, frozen=True, kw_only=True):
    """Timed metadata in a stream."""

    type: Literal["ID3"] | None = None


class Stream(RequestBody, frozen=True, kw_only=True):
    """Where the recording is streamed to while it runs."""

    rtmp_url: str | None = None


class StartComposite(RequestBody, frozen=True, kw_only=True):
    """POST /recordings."""

    meeting_id: UUID
    allow_multiple_recordings: bool = False
    audio_config: Audio = Audio()
    file_name_prefix: str | None = None
    interactive_config: Interactive | None = None
    max_seconds: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 86_400
    realtimekit_bucket_config: Bucket = Bucket(enabled=True)
    rtmp_out_config: Stream | None = None
    storage_config: Storage | None = None
    url: str | None = None
    video_config: Video = Video()


class ChangeRecording(RequestBody, frozen=True, kw_only=True):
    """PUT /recordings/{recording_id}."""

    action: Literal["stop", "pause", "resume"]


class AddWebhook(RequestBody, frozen=True, kw_only=True):
    """POST /webhooks and PUT /webhooks/{webhook_id}."""

    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool = True


class EditWebhook(RequestBody, frozen=True, kw_only=True):
    """PATCH /webhooks/{webhook_id}."""

    name: str | None = None
    url: str | None = None
    events: tuple[str, ...] | None = None
    enabled: bool | None = None


class CreateMeeting(msgspec.Struct, frozen=True, kw_only=True):
    """POST /meetings. Only the title is used; other fields are ignored."""

    title: str | None = None


class AddParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """POST /meetings/{meeting_id}/participants."""

    custom_participant_id: str
    preset_name: str
    name: str | None = None
