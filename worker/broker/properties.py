"""The properties of a message in AMQP's encoding, split and joined byte for byte.

A message can be copied without decoding its properties. So even properties that this worker cannot
read survive. Pure, without the library.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Final

PropertyList = Mapping[int, bytes]
"""The encoded value of each property that is present, by the property's flag."""

TableEntry = tuple[bytes, bytes]
"""A header's name, and its value with the letter of its type."""

CONTENT_TYPE: Final = 0x8000
CONTENT_ENCODING: Final = 0x4000
HEADERS: Final = 0x2000
DELIVERY_MODE: Final = 0x1000
PRIORITY: Final = 0x0800
CORRELATION_ID: Final = 0x0400
REPLY_TO: Final = 0x0200
EXPIRATION: Final = 0x0100
MESSAGE_ID: Final = 0x0080
TIMESTAMP: Final = 0x0040
TYPE: Final = 0x0020
USER_ID: Final = 0x0010
APP_ID: Final = 0x0008
CLUSTER_ID: Final = 0x0004

FLAGS: Final = (
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HEADERS,
    DELIVERY_MODE,
    PRIORITY,
    CORRELATION_ID,
    REPLY_TO,
    EXPIRATION,
    MESSAGE_ID,
    TIMESTAMP,
    TYPE,
    USER_ID,
    APP_ID,
    CLUSTER_ID,
)
"""All flags, in the order in which AMQP writes the values."""

MAX_TIMESTAMP_SECONDS: Final = 253_402_300_800
"""The end of the year 9999. A larger timestamp has another unit or is not a time."""

_FIXED_BYTES: Final = {DELIVERY_MODE: 1, PRIORITY: 1, TIMESTAMP: 8}
_MORE_FLAGS: Final = 0x0001
_FLAG_WORD: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">I")
_TIMESTAMP: Final = struct.Struct(">Q")

_VALUE_BYTES: Final = {
    **dict.fromkeys(b"tbB", 1),
    **dict.fromkeys(b"su", 2),
    **dict.fromkeys(b"Iif", 4),
    **dict.fromkeys(b"lLdT", 8),
    **dict.fromkeys(b"D", 5),
    **dict.fromkeys(b"V", 0),
}
"""The size of a header's value, by the letter of its type."""

_COUNTED_TYPES: Final = frozenset(b"SAFx")
"""The types whose value begins with its length."""


def split_properties(encoded: bytes, offset: int = 0) -> dict[int, bytes]:
    """The properties that begin at `offset`, by flag. A value that is cut off is left out."""
    properties: dict[int, bytes] = {}
    try:
        flags = word = _FLAG_WORD.unpack_from(encoded, offset)[0]
        offset += _FLAG_WORD.size
        while word & _MORE_FLAGS:
            word = _FLAG_WORD.unpack_from(encoded, offset)[0]
            offset += _FLAG_WORD.size
        for flag in FLAGS:
            if flags & flag:
                end = offset + _property_size(flag, encoded, offset)
                if end > len(encoded):
                    break
                properties[flag] = encoded[offset:end]
                offset = end
    except (struct.error, IndexError):
        pass
    return properties


def _property_size(flag: int, encoded: bytes, offset: int) -> int:
    if flag == HEADERS:
        return _LENGTH.size + int(_LENGTH.unpack_from(encoded, offset)[0])
    return _FIXED_BYTES.get(flag) or 1 + encoded[offset]


def joined_properties(properties: PropertyList) -> bytes:
    """The properties as AMQP has them: flags, then the values in the order of their flags."""
    values = [properties[flag] for flag in FLAGS if flag in properties]
    return _FLAG_WORD.pack(sum(properties)) + b"".join(values)


def split_table(table: bytes) -> tuple[list[TableEntry], bool]:
    """The entries of a table, and whether it could be read to its end.

    The length of a value of unknown type is unknown, so the entries behind it are lost.
    """
    entries: list[TableEntry] = []
    offset = _LENGTH.size
    try:
        while offset < len(table):
            value_at = offset + 1 + table[offset]
            end = value_at + _value_size(table, value_at)
            if end > len(table):
                return entries, False
            entries.append((table[offset + 1 : value_at], table[value_at:end]))
            offset = end
    except (struct.error, IndexError, KeyError):
        return entries, False
    return entries, True


def _value_size(table: bytes, offset: int) -> int:
    """The size of a value with the letter of its type. Raises KeyError for an unknown type."""
    kind = table[offset]
    if kind in _COUNTED_TYPES:
        return 1 + _LENGTH.size + int(_LENGTH.unpack_from(table, offset + 1)[0])
    return 1 + _VALUE_BYTES[kind]


def joined_table(entries: Iterable[TableEntry]) -> bytes:
    """A table of these entries, as AMQP has it."""
    return counted(b"".join(bytes((len(name),)) + name + value for name, value in entries))


def merged_tables(*tables: bytes) -> bytes:
    """One table with the entries of all. An empty part counts as an empty table."""
    return counted(b"".join(table[_LENGTH.size :] for table in tables))


def counted(encoded: bytes) -> bytes:
    """The bytes with their length in front."""
    return _LENGTH.pack(len(encoded)) + encoded


def text_property(properties: PropertyList, flag: int) -> str | None:
    """A property that is a short string. None if it is absent or not UTF-8."""
    encoded = properties.get(flag)
    return None if encoded is None else _text(encoded[1:])


def _text(encoded: bytes) -> str | None:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return None


def identifier(properties: PropertyList) -> str | None:
    """The text by which the library finds a returned message. None if it has no `message_id`.

    For an id that is not UTF-8 this is its digest, as in the answer that `FrameReader` repairs.
    """
    encoded = properties.get(MESSAGE_ID, b"")[1:]
    return _text(encoded) or (hashlib.sha256(encoded).hexdigest() if encoded else None)


def timestamp_property(properties: PropertyList) -> float | None:
    """The timestamp in seconds since the epoch. None if it is absent or beyond the year 9999."""
    encoded = properties.get(TIMESTAMP)
    seconds = MAX_TIMESTAMP_SECONDS if encoded is None else int(_TIMESTAMP.unpack(encoded)[0])
    return float(seconds) if seconds < MAX_TIMESTAMP_SECONDS else None
