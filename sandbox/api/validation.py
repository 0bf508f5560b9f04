"""What the API accepts: bodies and query parameters, checked member by member."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from sandbox.model.errors import Refusal

T = TypeVar("T")

EVENTS = (
    "meeting.started",
    "meeting.ended",
    "meeting.participantJoined",
    "meeting.participantLeft",
    "meeting.chatSynced",
    "recording.statusUpdate",
    "livestreaming.statusUpdate",
    "meeting.transcript",
    "meeting.summary",
)

Edge = Annotated[int, msgspec.Meta(ge=1, le=1920)]
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object in which every unknown member is an error."""


class Layer(Body, frozen=True, kw_only=True):
    """How a track recording's files come out."""

    media_kind: Literal["audio"] = "audio"
    file_name_prefix: Annotated[str, msgspec.Meta(pattern=r"^[-A-Za-z0-9_\s]+$")] | None = None


class Layers(Body, frozen=True, kw_only=True):
    """`default` is the only layer there is."""

    default: Layer = Layer()


class StartTrack(Body, frozen=True, kw_only=True):
    """POST /recordings/track."""

    meeting_id: UUID
    layers: Layers = Layers()
    user_ids: Annotated[tuple[UserId, ...], msgspec.Meta(min_length=1, max_length=100)] | None = (
        None
    )


class Audio(Body, frozen=True, kw_only=True):
    """The sound of a composite recording."""

    codec: Literal["MP3", "AAC"] = "AAC"
    channel: Literal["mono", "stereo"] = "stereo"
    export_file: bool = True


class Size(Body, frozen=True, kw_only=True):
    """Pixels."""

    height: Annotated[int, msgspec.Meta(ge=1)] | None = None
    width: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Watermark(Body, frozen=True, kw_only=True):
    """A picture laid over the recording."""

    url: str | None = None
    position: Literal["left top", "right top", "left bottom", "right bottom"] = "left top"
    size: Size = Size()


class Video(Body, frozen=True, kw_only=True):
    """The picture of a composite recording."""

    codec: Literal["H264", "VP8", "VP9"] = "H264"
    width: Edge = 1280
    height: Edge = 720
    export_file: bool = True
    watermark: Watermark | None = None


class Bucket(Body, frozen=True, kw_only=True):
    """Whether the API's own storage is used."""

    enabled: bool


class Storage(Body, frozen=True, kw_only=True):
    """The customer's own storage."""

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


class Interactive(Body, frozen=True, kw_only=True):
    """Timed metadata in a stream."""

    type: Literal["ID3"] | None = None


class Stream(Body, frozen=True, kw_only=True):
    """Where else the recording is sent while it runs."""

    rtmp_url: str | None = None


class StartComposite(Body, frozen=True, kw_only=True):
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


class Change(Body, frozen=True, kw_only=True):
    """PUT /recordings/{recording_id}."""

    action: Literal["stop", "pause", "resume"]


class NewWebhook(Body, frozen=True, kw_only=True):
    """POST and PUT of the webhooks resource."""

    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool = True


class WebhookPatch(Body, frozen=True, kw_only=True):
    """PATCH of the webhooks resource."""

    name: str | None = None
    url: str | None = None
    events: tuple[str, ...] | None = None
    enabled: bool | None = None


class NewMeeting(msgspec.Struct, frozen=True, kw_only=True):
    """POST /meetings, as far as a demonstration needs it; other members are let pass."""

    title: str | None = None


class NewParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """POST /meetings/{meeting_id}/participants."""

    custom_participant_id: str
    preset_name: str
    name: str | None = None


def decode(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Refusal (400) whose message names the member that is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, _complaint(str(error))) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, "BAD_REQUEST: the body is not JSON") from error


def check_composite(body: StartComposite) -> None:
    """The formats of a composite start that types do not tell."""
    check_uri("url", body.url)
    if body.rtmp_out_config:
        check_uri("rtmp_out_config.rtmp_url", body.rtmp_out_config.rtmp_url)
    if body.video_config.watermark:
        check_uri("video_config.watermark.url", body.video_config.watermark.url)


def check_webhook(body: NewWebhook | WebhookPatch) -> None:
    """The formats of a webhook that types do not tell."""
    check_uri("url", body.url)
    for index, event in enumerate(body.events or ()):
        if event not in EVENTS:
            raise wrong(f"events[{index}]", f"must be one of [{', '.join(EVENTS)}]")


def check_uri(name: str, value: str | None) -> None:
    """Refuse what is no absolute URI."""
    if value is not None and not (urlsplit(value).scheme and urlsplit(value).netloc):
        raise wrong(name, "must be a valid uri")


def uuid(name: str, value: str) -> str:
    """The id in its canonical form."""
    try:
        return str(UUID(value))
    except ValueError as error:
        raise wrong(name, "must be a valid GUID") from error


def whole(name: str, value: str, *, least: int = 0, most: int | None = None) -> int:
    """A number of the query, e.g. a page."""
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise wrong(name, "must be a number")
    number = int(value)
    if number < least:
        raise wrong(name, f"must be greater than or equal to {least}")
    if most is not None and number > most:
        raise wrong(name, f"must be less than or equal to {most}")
    return number


def flag(name: str, value: str) -> bool:
    """A boolean of the query."""
    return one_of(name, value, ("true", "false")) == "true"


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """A word of the query."""
    if value not in allowed:
        raise wrong(name, f"must be one of [{', '.join(allowed)}]")
    return value


def moment(name: str, value: str) -> float:
    """A date-time of the query, as epoch seconds."""
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise wrong(name, "must be a valid ISO 8601 date") from error
    if when.tzinfo is None:
        raise wrong(name, "must be a date with a time zone")
    return when.timestamp()


def only(query: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Refuse parameters that nobody knows."""
    for name in query:
        if name not in allowed:
            raise wrong(name, "is not allowed")


def wrong(name: str, what: str) -> Refusal:
    """The refusal of one member, worded as the API words it."""
    return Refusal(400, f'BAD_REQUEST: "{name}" {what}')


def _complaint(text: str) -> str:
    what, _, where = text.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f'BAD_REQUEST: "{_join(path, missing[1])}" is required'
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return f'BAD_REQUEST: "{_join(path, unknown[1])}" is not allowed'
    if what == "Invalid UUID":
        return f'BAD_REQUEST: "{path}" must be a valid GUID'
    return f'BAD_REQUEST: "{path or "value"}" is not valid: {what.lower()}'


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
