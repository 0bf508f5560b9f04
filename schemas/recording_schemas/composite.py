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

    codec: Literal["MP3", "AAC"] | UnsetType = UNSET
    channel: Literal["mono", "stereo"] | UnsetType = UNSET
    export_file: bool | UnsetType = UNSET


class WatermarkSize(Parameter, frozen=True, kw_only=True):
    """The size of the watermark in pixels."""

    height: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET
    width: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET


class Watermark(Parameter, frozen=True, kw_only=True):
    """A picture laid over the video."""

    position: Literal["left top", "right top", "left bottom", "right bottom"] | UnsetType = UNSET
    size: WatermarkSize | UnsetType = UNSET
    url: Uri | UnsetType = UNSET


class VideoConfig(Parameter, frozen=True, kw_only=True):
    """How the video of a composite recording is encoded. Sizes in pixels."""

    codec: Literal["H264", "VP8", "VP9"] | UnsetType = UNSET
    export_file: bool | UnsetType = UNSET
    height: Pixels | UnsetType = UNSET
    width: Pixels | UnsetType = UNSET
    watermark: Watermark | UnsetType = UNSET


class InteractiveConfig(Parameter, frozen=True, kw_only=True):
    """Timed metadata inside the video."""

    type: Literal["ID3"] | UnsetType = UNSET


class RtmpOutConfig(Parameter, frozen=True, kw_only=True):
    """Where to stream to. The URL is a secret, because it usually holds the stream key."""

    secret_fields = ("rtmp_url",)

    rtmp_url: Uri | UnsetType = UNSET


class BucketConfig(Parameter, frozen=True, kw_only=True):
    """Whether RealtimeKit keeps the files in its own bucket."""

    enabled: bool


class StorageConfig(Parameter, frozen=True, kw_only=True):
    """The customer's own storage for the files of a composite recording.

    `account_id` is for `cloudflare` (R2). `auth_method`, `username`, `password`, `host`, `port` and
    `private_key` are for `sftp`.
    """

    secret_fields = ("access_key", "secret", "password", "private_key")
    schema_rules: ClassVar[dict[str, Any]] = {
        "allOf": [
            {
                "if": {"required": [field], "properties": {field: {"const": value}}},
                "then": {"required": [needed]},
            }
            for field, value, needed in (
                ("type", "cloudflare", "account_id"),
                ("auth_method", "KEY", "private_key"),
                ("auth_method", "PASSWORD", "password"),
            )
        ]
    }

    type: Literal["aws", "azure", "digitalocean", "gcs", "sftp", "cloudflare"]
    account_id: Name | UnsetType = UNSET
    access_key: Secret | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET
    bucket: Name | UnsetType = UNSET
    region: Name | UnsetType = UNSET
    path: Path | UnsetType = UNSET
    auth_method: Literal["KEY", "PASSWORD"] | UnsetType = UNSET
    username: Name | UnsetType = UNSET
    password: Secret | UnsetType = UNSET
    host: Name | UnsetType = UNSET
    port: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET
    private_key: Secret | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.type == "cloudflare" and self.account_id is UNSET:
            raise _needs("account_id", "`type` is cloudflare")
        if self.auth_method == "KEY" and self.private_key is UNSET:
            raise _needs("private_key", "`auth_method` is KEY")
        if self.auth_method == "PASSWORD" and self.password is UNSET:
            raise _needs("password", "`auth_method` is PASSWORD")


def _needs(field: str, condition: str) -> RuleBroken:
    return RuleBroken("missing_field", field, f"must be given when {condition}")
