"""Turns the bytes of a message into the UTF-8 text that its author wrote.

A body may be packed with gzip and may begin with a byte order mark.
"""

import re
import zlib
from typing import Final

import msgspec

from recording_schemas.rules import RuleBroken

DEFAULT_MAX_BYTES: Final = 1_048_576
"""The limit of an unpacked body, in bytes, if the caller sets none."""

_PLAIN: Final = frozenset({"", "identity", "binary", "utf-8", "utf8", "us-ascii"})
"""Some client libraries write the name of the charset into `content_encoding`.

Kombu writes `binary` there if the publisher encoded the body itself.
"""
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = 31
"""zlib's largest window, and 16 for the format of gzip with its checksum."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_NAME: Final = re.compile(r"[\w.+, -]{1,40}", re.ASCII)

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_OTHER_MARKS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

_AMQP_VALUE: Final = b"\x00Sw"
_AMQP_SEQUENCE: Final = b"\x00Sv"
"""How a broker hands on the body of an AMQP 1.0 message that is no binary data."""
_AMQP_TEXT: Final = re.compile(rb"\x00Sw(?:[\xa0\xa1].|[\xb0\xb1].{4})", re.DOTALL)
"""The header of a string or of bytes in such a body."""


def readable_body(
    body: bytes, content_encoding: str | None = None, max_bytes: int | None = None
) -> bytes:
    """The body unpacked, without its byte order mark. At most `max_bytes` are unpacked.

    Raises RuleBroken with the code `wrong_content_encoding`, `not_gzip`, `too_large` or `not_utf8`.
    """
    encoding = (content_encoding or "").strip().lower()
    if encoding in _GZIP:
        body = _unpacked(body, DEFAULT_MAX_BYTES if max_bytes is None else max_bytes)
    elif encoding not in _PLAIN:
        wrong_encoding = f", not {encoding}" if _NAME.fullmatch(encoding) else ""
        fault = f"the content encoding must be gzip or none{wrong_encoding}"
        raise RuleBroken("wrong_content_encoding", None, fault)
    return _without_mark(body)


def _unpacked(body: bytes, max_bytes: int) -> bytes:
    """The one member of a gzip file. At most `max_bytes` are unpacked, also from a bomb."""
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise RuleBroken("not_gzip", None, f"the body is not whole gzip: {error}") from error
    if len(text) > max_bytes:
        fault = f"the body has more than {max_bytes} bytes when it is unpacked"
        raise RuleBroken("too_large", None, fault)
    if not unpacker.eof:
        raise RuleBroken("not_gzip", None, "the body is not whole gzip: its end is missing")
    if unpacker.unused_data.startswith(_GZIP_MAGIC):
        raise RuleBroken("not_gzip", None, "the body has several gzip members; one is read")
    if unpacker.unused_data:
        raise RuleBroken("not_gzip", None, "the body has other bytes after the end of its gzip")
    return text


def wrapped_text(body: bytes) -> bytes:
    """The text in an AMQP 1.0 value or in a JSON string, else the body itself.

    A command in it is refused, but its publisher gets an outcome under its id.
    """
    if header := _AMQP_TEXT.match(body):
        return body[header.end() :]
    try:
        return msgspec.json.decode(body, type=str).encode()
    except (msgspec.DecodeError, UnicodeError):
        return body


def _without_mark(body: bytes) -> bytes:
    if body.startswith(_UTF8_MARK):
        return body[len(_UTF8_MARK) :]
    for mark, name in _OTHER_MARKS.items():
        if body.startswith(mark):
            raise RuleBroken("not_utf8", None, f"the body is {name}; it must be UTF-8")
    if body.startswith((_AMQP_VALUE, _AMQP_SEQUENCE)):
        fault = "the body is a value of AMQP 1.0; it must be binary data with the JSON text"
        raise RuleBroken("not_json", None, fault)
    if b"\x00" in body[:2]:
        raise RuleBroken("not_utf8", None, "the body has NUL bytes, as UTF-16; it must be UTF-8")
    return body
