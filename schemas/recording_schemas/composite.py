"""The parameters of a composite recording, with the names and bounds of the recording API.

Source: Cloudflare's OpenAPI document for RealtimeKit and its recording guide, which adds the
storage type `cloudflare` and the video codec VP9. The API states no string lengths; those are
ours. UNSET means that the publisher did not give the field. The worker then does not send it.
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recording_schemas.rules import RuleBroken
from recording_schemas.values import Name, Path, Pixels, Secret, Uri


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object among the parameters. Its representation shows no secret."""

    secret_fields: ClassVar[tuple[str, ...]] = ()

    def secrets(self) -> tuple[str, ...]:
        """The values of its secret fields, which nothing may show."""
        values = (getattr(self, name) for name in self.secret_fields)
        return tuple(value for value in values if isinstance(value, str) and value)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in self._safe_fields())
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Rich prints structs with this method, not with repr().
        return [(name, _Verbatim(value)) for name, value in self._safe_fields()]

    def _safe_fields(self) -> list[tuple[str, str]]:
        """The name and the representation of each field that is set, without secrets."""
        fields = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [
            (name, "[secure]" if name in self.secret_fields else repr(value))
            for name, value in fields
            if value is not UNSET
        ]


class _Verbatim(str):
    """Text whose representation is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class AudioConfig(Parameter, frozen=True, kw_only=True):
    """How the audio of a composite recording is encoded."""

    codec: Annotated[
        Literal["MP3", "AAC"] | UnsetType,
        Meta(description="The encoding. Without it the API uses AAC.", examples=["AAC"]),
    ] = UNSET
    channel: Annotated[
        Literal["mono", "stereo"] | UnsetType,
        Meta(
            description="The number of channels. Without it the API uses stereo.",
            examples=["stereo"],
        ),
    ] = UNSET
    export_file: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether the sound also becomes a separate file. Without it the "
            "API makes one.",
            examples=[True],
        ),
    ] = UNSET


class WatermarkSize(Parameter, frozen=True, kw_only=True):
    """The size of the watermark in pixels."""

    height: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | UnsetType,
        Meta(description="In pixels, a whole number from 1 to 65535.", examples=[40]),
    ] = UNSET
    width: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | UnsetType,
        Meta(description="In pixels, a whole number from 1 to 65535.", examples=[120]),
    ] = UNSET


class Watermark(Parameter, frozen=True, kw_only=True):
    """A picture laid over the video."""

    position: Annotated[
        Literal["left top", "right top", "left bottom", "right bottom"] | UnsetType,
        Meta(description="The corner in which the API draws it.", examples=["right top"]),
    ] = UNSET
    size: Annotated[
        WatermarkSize | UnsetType,
        Meta(
            description="How large the watermark is drawn.", examples=[{"width": 120, "height": 40}]
        ),
    ] = UNSET
    url: Annotated[
        Uri | UnsetType,
        Meta(
            description="Where the API fetches the image.",
            examples=["https://example.com/logo.png"],
        ),
    ] = UNSET


class VideoConfig(Parameter, frozen=True, kw_only=True):
    """How the video of a composite recording is encoded. Sizes in pixels."""

    codec: Annotated[
        Literal["H264", "VP8", "VP9"] | UnsetType,
        Meta(description="The encoding. Without it the API uses H264.", examples=["H264"]),
    ] = UNSET
    export_file: Annotated[
        bool | UnsetType, Meta(description="Whether the video becomes a file.", examples=[True])
    ] = UNSET
    height: Annotated[
        Pixels | UnsetType,
        Meta(description="Pixels, 1 to 1920. Without it the API uses 720.", examples=[720]),
    ] = UNSET
    width: Annotated[
        Pixels | UnsetType,
        Meta(description="Pixels, 1 to 1920. Without it the API uses 1280.", examples=[1280]),
    ] = UNSET
    watermark: Annotated[
        Watermark | UnsetType,
        Meta(
            description="An image to lay over the pictures.",
            examples=[{"position": "right top", "url": "https://example.com/logo.png"}],
        ),
    ] = UNSET


class InteractiveConfig(Parameter, frozen=True, kw_only=True):
    """Timed metadata inside the video."""

    type: Annotated[
        Literal["ID3"] | UnsetType,
        Meta(description="The form of the timed metadata.", examples=["ID3"]),
    ] = UNSET


class RtmpOutConfig(Parameter, frozen=True, kw_only=True):
    """Where to stream to. The URL is a secret, because it usually holds the stream key."""

    secret_fields = ("rtmp_url",)

    rtmp_url: Annotated[
        Uri | UnsetType,
        Meta(
            description="The address to stream to. It is a secret, because it usually holds "
            "the stream key: no log line, event or table shows it.",
            examples=["rtmp://live.example.com/app/stream-key"],
        ),
    ] = UNSET


class BucketConfig(Parameter, frozen=True, kw_only=True):
    """Whether RealtimeKit keeps the files in its own bucket."""

    enabled: Annotated[
        bool,
        Meta(
            description="With false RealtimeKit keeps nothing; give a storage of your own then.",
            examples=[True],
        ),
    ]


class StorageConfig(Parameter, frozen=True, kw_only=True):
    """Your own storage for the files of a composite recording.

    `account_id` is for `cloudflare` (R2). `auth_method`, `username`, `password`, `host`, `port` and
    `private_key` are for `sftp`.
    """

    secret_fields = ("access_key", "secret", "password", "private_key")
    schema_rules: ClassVar[dict[str, Any]] = {
        "allOf": [
            {
                "if": {
                    "properties": {field: {"type": "string", "const": value}},
                    "required": [field],
                },
                "then": {"properties": {needed: {"type": "string"}}, "required": [needed]},
            }
            for field, value, needed in (
                ("type", "cloudflare", "account_id"),
                ("auth_method", "KEY", "private_key"),
                ("auth_method", "PASSWORD", "password"),
            )
        ]
    }

    type: Annotated[
        Literal["aws", "azure", "digitalocean", "gcs", "sftp", "cloudflare"],
        Meta(description="The kind of storage. `cloudflare` is R2.", examples=["aws"]),
    ]
    account_id: Annotated[
        Name | UnsetType,
        Meta(
            description="The Cloudflare account; required for `cloudflare`.",
            examples=["0123456789abcdef0123456789abcdef"],
        ),
    ] = UNSET
    access_key: Annotated[
        Secret | UnsetType,
        Meta(
            description="The access key. It is a secret: no log line, event or table shows it.",
            examples=["AKIAEXAMPLE"],
        ),
    ] = UNSET
    secret: Annotated[
        Secret | UnsetType,
        Meta(
            description="The secret key. No log line, event or table shows it.",
            examples=["example"],
        ),
    ] = UNSET
    bucket: Annotated[
        Name | UnsetType,
        Meta(description="The bucket or container to write to.", examples=["company-recordings"]),
    ] = UNSET
    region: Annotated[
        Name | UnsetType,
        Meta(
            description="The provider's name of the place where the bucket is.",
            examples=["eu-central-1"],
        ),
    ] = UNSET
    path: Annotated[
        Path | UnsetType,
        Meta(description="The folder inside the bucket.", examples=["meetings/2026"]),
    ] = UNSET
    auth_method: Annotated[
        Literal["KEY", "PASSWORD"] | UnsetType,
        Meta(
            description="How to log in to an `sftp` server: KEY needs `private_key`, PASSWORD "
            "needs `password`.",
            examples=["KEY"],
        ),
    ] = UNSET
    username: Annotated[
        Name | UnsetType,
        Meta(description="The login name at the `sftp` server.", examples=["recorder"]),
    ] = UNSET
    password: Annotated[
        Secret | UnsetType,
        Meta(
            description="The login secret at the `sftp` server. No log line, event or table "
            "shows it.",
            examples=["example"],
        ),
    ] = UNSET
    host: Annotated[
        Name | UnsetType,
        Meta(
            description="The name or address of the `sftp` server.", examples=["sftp.example.com"]
        ),
    ] = UNSET
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | UnsetType,
        Meta(description="The TCP port of the `sftp` server, 1 to 65535.", examples=[22]),
    ] = UNSET
    private_key: Annotated[
        Secret | UnsetType,
        Meta(
            description="The PEM key for the `sftp` server. It is a secret: no log line, event "
            "or table shows it.",
            examples=["-----BEGIN PRIVATE KEY-----…"],
        ),
    ] = UNSET

    def __post_init__(self) -> None:
        if self.type == "cloudflare" and self.account_id is UNSET:
            raise _needs("account_id", "`type` is cloudflare")
        if self.auth_method == "KEY" and self.private_key is UNSET:
            raise _needs("private_key", "`auth_method` is KEY")
        if self.auth_method == "PASSWORD" and self.password is UNSET:
            raise _needs("password", "`auth_method` is PASSWORD")


def _needs(field: str, condition: str) -> RuleBroken:
    return RuleBroken("missing_field", field, f"must be given when {condition}")
