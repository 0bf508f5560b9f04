"""The meaning of a response's status and headers for a download."""

import re
from typing import Final

import httpx
import msgspec

from worker.archive.errors import ArchiveError, SourceDenied, SourceUnavailable

REDIRECTS: Final = {301, 302, 303, 307, 308}
_LATER: Final = {408, 425, 429}
_NO_MEDIA: Final = {"text/html", "application/json", "application/xml", "text/xml"}
"""A portal, a proxy or a store may answer 200 with a text instead of the file."""
_NOT_ENCODED: Final = {"", "identity", "aws-chunked"}
"""Some storages keep `aws-chunked` from the upload, and send it with unchanged bytes."""
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{1,1024}")
_CONTENT_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}", re.ASCII)


class Version(msgspec.Struct, frozen=True):
    """The properties that identify a version of a file. `size` is None if the source does not
    state it."""

    size: int | None
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag, else the time of the last change."""
        strong = None if (self.etag or "").startswith("W/") else self.etag
        validator = strong or self.modified
        return validator if validator and _HEADER_VALUE.fullmatch(validator) else None


def status_error(response: httpx.Response) -> ArchiveError:
    """The error for a status other than 2xx."""
    status = response.status_code
    if 400 <= status < 500 and status not in _LATER:
        return SourceDenied("source_denied", f"the source answered HTTP {status}")
    return SourceUnavailable("source_unavailable", f"the source answered HTTP {status}")


def whole_version(response: httpx.Response) -> Version:
    """The version of a file, from the answer to a request for all of it.

    Raises SourceUnavailable if the body is compressed, a page, or has an impossible length. Also if
    only the end of the connection ends it, because half a file would look complete.
    """
    if (sent := media_type(response)) in _NO_MEDIA:
        message = f"the source sends a page in place of the file ({sent})"
        raise SourceUnavailable("source_unavailable", message)
    size = _length(response)
    if size is None and "Transfer-Encoding" not in response.headers:
        message = "the source sends neither a length nor chunks, so the file cannot be known whole"
        raise SourceUnavailable("source_without_length", message)
    return Version(size, response.headers.get("ETag"), response.headers.get("Last-Modified"))


def check_continues(response: httpx.Response, version: Version, offset: int) -> None:
    """Raise SourceUnavailable unless a response has this version from `offset` to its end."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    same = (
        response.status_code == httpx.codes.PARTIAL_CONTENT
        and found is not None
        and (int(found[1]), int(found[3])) == (offset, version.size)
        and int(found[2]) + 1 == version.size
        and response.headers.get("ETag") == version.etag
        and response.headers.get("Last-Modified") == version.modified
    )
    if not same:
        message = f"the file cannot be resumed after {offset} bytes: it has changed, or the source"
        message += " does not support it"
        raise SourceUnavailable("source_not_resumed", message)
    _length(response)


def media_type(response: httpx.Response) -> str | None:
    """The type in Content-Type, without parameters."""
    text = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return text.lower() if _CONTENT_TYPE.fullmatch(text) else None


def _length(response: httpx.Response) -> int | None:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    is_encoded = encoding not in _NOT_ENCODED
    if is_encoded or response.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise SourceUnavailable("source_compressed", "the source compresses the file")
    text = response.headers.get("Content-Length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise SourceUnavailable("source_unavailable", "the source sends an impossible length")
    return int(text)
