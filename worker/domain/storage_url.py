"""The URL of the archive: provider, bucket and prefix."""

from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import unquote, urlsplit

import msgspec

Scheme = Literal["s3", "gs", "az", "file"]

_SYNTAX: Final = (
    "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///path"
)

MAX_PREFIX_BYTES: Final = 250
"""The longest prefix. With a slash and `archive_keys.MAX_KEY_BYTES` it is within the 1,024 bytes of
S3, GCS and Azure."""


class StorageUrl(msgspec.Struct, frozen=True):
    """Where the archive is. `bucket` is a container at Azure and empty for a folder.

    `prefix` has no slash at its ends, except that a folder's path begins with one.
    """

    scheme: Scheme
    bucket: str
    prefix: str

    def of(self, key: str) -> str:
        """The URL of an object."""
        if self.scheme == "file":
            return (Path(self.prefix) / key).as_uri()
        return "/".join(
            part for part in (f"{self.scheme}://{self.bucket}", self.prefix, key) if part
        )

    def key_of(self, url: str) -> str | None:
        """The key of an object by its URL. None if it is not below this URL."""
        root = self.of("x")[:-1]
        if not url.startswith(root) or url == root:
            return None
        key = url[len(root) :]
        return unquote(key) if self.scheme == "file" else key


def parse_storage_url(text: str) -> StorageUrl:
    """Parse the URL. Raises ValueError, whose text does not repeat it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_SYNTAX) from None
    if parts.scheme not in {"s3", "gs", "az", "file"}:
        raise ValueError(_SYNTAX)
    if parts.query or parts.fragment or "@" in parts.netloc or ":" in parts.netloc:
        raise ValueError(f"{_SYNTAX}, without credentials, port or query")
    if parts.scheme == "file":
        return _folder(parts.netloc, unquote(parts.path))
    prefix = parts.path.strip("/")
    if not parts.netloc or not _is_clean(prefix):
        raise ValueError(_SYNTAX)
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        raise ValueError(f"has a prefix of more than {MAX_PREFIX_BYTES} bytes")
    return StorageUrl(cast("Scheme", parts.scheme), parts.netloc, prefix)


def _folder(host: str, path: str) -> StorageUrl:
    if host not in {"", "localhost"} or not path.startswith("/") or not _is_clean(path.strip("/")):
        raise ValueError(f"{_SYNTAX}: three slashes, then an absolute path")
    return StorageUrl("file", "", path.rstrip("/") or "/")


def _is_clean(prefix: str) -> bool:
    parts = prefix.split("/")
    return not prefix or (prefix.isprintable() and not {"", ".", ".."} & set(parts))
