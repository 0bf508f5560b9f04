"""The part of a file that a request asks for (RFC 9110, Range, If-Range and If-Match)."""

import re

import msgspec
from aiohttp import web

from recording_sandbox.model.file_content import FileContent

_ONE_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class WantedRange(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes from `start` up to, without, `stop`, and the status and headers that say so."""

    status: int
    start: int = 0
    stop: int = 0
    headers: dict[str, str] = {}
    error: str = ""


def wanted_range(request: web.Request, content: FileContent, *, honoured: bool) -> WantedRange:
    """200 for the whole file, 206 for a part, 412 if it has changed, 416 if there is no such part.

    As object stores do, several ranges or a malformed one mean the whole file.
    """
    if request.headers.get("If-Match", content.etag) not in (content.etag, "*"):
        return WantedRange(status=412, error="PreconditionFailed")
    whole = WantedRange(status=200, stop=content.size)
    if not honoured:
        return whole
    whole = msgspec.structs.replace(whole, headers={"Accept-Ranges": "bytes"})
    match = _ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or request.headers.get("If-Range", content.etag) != content.etag:
        return whole
    return _part(match[1], match[2], content.size) or whole


def _part(first: str, last: str, size: int) -> WantedRange | None:
    if not first and not last:
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < start:
        return None
    if start >= size:
        return WantedRange(
            status=416, error="InvalidRange", headers={"Content-Range": f"bytes */{size}"}
        )
    content_range = f"bytes {start}-{stop - 1}/{size}"
    return WantedRange(
        status=206,
        start=start,
        stop=stop,
        headers={"Accept-Ranges": "bytes", "Content-Range": content_range},
    )
