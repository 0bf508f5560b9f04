"""Reads the metadata of commands that are not valid, and names the value that breaks the rule."""

from typing import Final

import msgspec

from recording_schemas.rules import RuleBroken, in_words, type_at
from recording_schemas.values import Metadata, MetadataName, MetadataValue

_ENTRIES: Final = msgspec.json.Decoder(dict[MetadataName, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder(MetadataValue)
_METADATA: Final[msgspec.json.Decoder[dict[str, str] | None]] = msgspec.json.Decoder(
    Metadata | None
)
MAX_METADATA_BYTES: Final = 131_072
"""Valid metadata is shorter in any spelling. Longer texts are refused unread, because checking a
hundred thousand names takes a good part of a second."""

_RULE: Final = "must be a string of at most 512 characters"


def check_size(struct: type[msgspec.Struct], encoded: msgspec.Raw | None) -> None:
    """Raise RuleBroken if `encoded`, the JSON of `metadata`, is too long to be valid."""
    if "metadata" in struct.__struct_fields__ and _is_too_long(encoded):
        rule = in_words(type_at(struct, ["metadata"]))
        raise RuleBroken("invalid_field", "metadata", f"must be {rule}")


def _is_too_long(encoded: msgspec.Raw | None) -> bool:
    return encoded is not None and len(memoryview(encoded)) > MAX_METADATA_BYTES


def named_value(fault: RuleBroken, encoded: msgspec.Raw | None) -> RuleBroken:
    """The fault, with the wrong value's own path if it is about one value of `metadata`.

    msgspec does not name that value.

    `encoded` is the JSON of `metadata`. A name that breaks the rule is not repeated.
    """
    if fault.code != "invalid_field" or fault.field != "metadata" or encoded is None:
        return fault
    try:
        entries = _ENTRIES.decode(encoded)
    except msgspec.ValidationError:  # it is no object, or a name is wrong
        return fault
    wrong = next((name for name, value in entries.items() if not _is_valid(value)), None)
    return fault if wrong is None else RuleBroken(fault.code, f"metadata.{wrong}", _RULE)


def _is_valid(value: msgspec.Raw) -> bool:
    try:
        _VALUE.decode(value)
    except msgspec.ValidationError:
        return False
    return True


def readable_metadata(
    struct: type[msgspec.Struct] | None, encoded: msgspec.Raw | None
) -> dict[str, str] | None:
    """The metadata of a start that is not valid otherwise. None if it is not valid itself."""
    if encoded is None or struct is None or "metadata" not in struct.__struct_fields__:
        return None
    if _is_too_long(encoded):
        return None
    try:
        return _METADATA.decode(encoded)
    except (ValueError, RecursionError):
        return None
