"""Encodes a message as AMQP frames.

The library looks up by name how each property is encoded. Here all messages are encoded in one
place.
"""

import struct
from functools import lru_cache
from typing import Final

import pamqp.frame
from pamqp.commands import Basic
from pamqp.encode import field_table

from worker.broker.messages import Headers, Outgoing
from worker.broker.properties import (
    APP_ID,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CORRELATION_ID,
    DELIVERY_MODE,
    HEADERS,
    MESSAGE_ID,
    REPLY_TO,
    TIMESTAMP,
    TYPE,
    PropertyList,
    joined_properties,
    merged_tables,
)

PERSISTENT: Final = b"\x02"
MAX_SHORT_STRING_BYTES: Final = 255
BASIC_CLASS: Final = 60
"""The class of AMQP methods that publish and deliver messages."""

ENCODING_ERRORS: Final = (TypeError, ValueError, OverflowError, struct.error)
"""Raised for a message that does not fit AMQP's frames."""

_HEAD: Final = struct.Struct(">BHI")
_CONTENT_HEADER: Final = struct.Struct(">BHIHHQ")
_FIXED_HEADER_BYTES: Final = _CONTENT_HEADER.size - _HEAD.size
_LENGTH: Final = struct.Struct(">B")
_TIMESTAMP: Final = struct.Struct(">Q")
_FRAME_END: Final = b"\xce"
_HEADER_FRAME: Final = 2
_BODY_FRAME: Final = 3


def encoded_message(message: Outgoing, channel: int, max_body_bytes: int) -> bytes:
    """All frames of a message. A body frame has at most `max_body_bytes` of the body.

    Raises one of `ENCODING_ERRORS`.
    """
    publish = _publish_frame(message.exchange, message.routing_key, message.mandatory, channel)
    return b"".join([publish, *_content_frames(message, channel, max_body_bytes)])


@lru_cache(maxsize=256)
def _publish_frame(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:
    """The first frame. Few different ones exist, so they are cached."""
    if len(routing_key.encode()) > MAX_SHORT_STRING_BYTES:
        raise ValueError("the routing key is longer than 255 bytes")
    method = Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(method, channel)


def _content_frames(message: Outgoing, channel: int, max_body_bytes: int) -> list[bytes]:
    body = message.body
    properties = encoded_properties(message)
    size = _FIXED_HEADER_BYTES + len(properties)
    if size > max_body_bytes:  # the broker would close the connection
        raise ValueError("the properties are larger than a frame of the broker")
    header = _CONTENT_HEADER.pack(_HEADER_FRAME, channel, size, BASIC_CLASS, 0, len(body))
    frames = [header, properties, _FRAME_END]
    for start in range(0, len(body), max_body_bytes):
        part = body[start : start + max_body_bytes]
        frames += [_HEAD.pack(_BODY_FRAME, channel, len(part)), part, _FRAME_END]
    return frames


def encoded_properties(message: Outgoing) -> bytes:
    """The properties as AMQP has them. Raises one of `ENCODING_ERRORS`."""
    values = (
        (CONTENT_TYPE, _short_string(message.content_type)),
        (CONTENT_ENCODING, _short_string(message.content_encoding)),
        (HEADERS, encoded_table(message.headers)),
        (DELIVERY_MODE, PERSISTENT),
        (CORRELATION_ID, _correlation_id(message.correlation_id)),
        (REPLY_TO, _short_string(message.reply_to)),
        (MESSAGE_ID, _short_string(message.message_id)),
        (TIMESTAMP, _timestamp(message.timestamp)),
        (TYPE, _short_string(message.type)),
        (APP_ID, _short_string(message.app_id)),
    )
    encoded: PropertyList = {flag: value for flag, value in values if value}
    if message.original:
        encoded = _added_to(message.original, encoded)
    return joined_properties(encoded)


def _added_to(original: PropertyList, encoded: PropertyList) -> PropertyList:
    tables = (original.get(HEADERS, b""), encoded.get(HEADERS, b""))
    headers = {HEADERS: merged_tables(*tables)} if any(tables) else {}
    return {**encoded, **original, **headers}


def _short_string(text: str | None) -> bytes:
    if not text:
        return b""
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _correlation_id(text: str | None) -> bytes:
    """Cut to the 255 bytes that AMQP allows, because a command's id may be longer."""
    if not text:
        return b""
    fitting = text.encode()[:MAX_SHORT_STRING_BYTES].decode(errors="ignore")
    return _short_string(fitting)


def encoded_table(headers: Headers) -> bytes:
    """The headers as AMQP has them, with their length in front. Nothing if there are none."""
    return field_table(headers) if headers else b""  # type: ignore[arg-type]  # it checks itself


def _timestamp(seconds: float | None) -> bytes:
    return b"" if seconds is None else _TIMESTAMP.pack(int(seconds))
