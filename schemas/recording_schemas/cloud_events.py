"""The attributes of a CloudEvent 1.0 around a command, in its body or in its headers."""

import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from recording_schemas.rules import RuleBroken

HEADER_PREFIXES: Final = ("cloudEvents:", "cloudEvents_")
"""The prefixes of the headers in binary mode. CloudEvents' binding to AMQP allows both."""

_REQUIRED: Final = ("specversion", "id", "source", "type")
_TEXT: Final[msgspec.json.Decoder[str]] = msgspec.json.Decoder(str)


def binary_attributes(headers: Mapping[str, object]) -> dict[str, msgspec.Raw]:
    """The event's attributes in the headers, as JSON; empty if the message is no CloudEvent.

    One required attribute makes the message an event. An attribute that is no string becomes null.
    """
    found = {
        name[len(HEADER_PREFIXES[0]) :].lower(): value
        for name, value in headers.items()
        if name.startswith(HEADER_PREFIXES)
    }
    if found.keys().isdisjoint(_REQUIRED):
        return {}
    return {name: _as_json(value) for name, value in found.items()}


def check_attributes(attributes: Mapping[str, msgspec.Raw], prefix: str = "") -> None:
    """Raise RuleBroken unless every required attribute is a string, and the version is 1.0.

    `prefix` stands before the name of an attribute in the fault.
    """
    for name in _REQUIRED:
        if not text_of(attributes.get(name)):
            fault = "must be given in a CloudEvent, as a string"
            raise RuleBroken("missing_field", f"{prefix}{name}", fault)
    if text_of(attributes["specversion"]) != "1.0":
        raise RuleBroken("invalid_field", f"{prefix}specversion", "must be 1.0")


def data_of(envelope: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The JSON in a structured event's `data`, else in its `data_base64`; None without either.

    Some SDKs write bytes as `data_base64`, even bytes that are JSON. Raises RuleBroken if they are
    not base64.
    """
    if "data" in envelope:
        return bytes(envelope["data"])
    if "data_base64" not in envelope:
        return None
    try:
        return binascii.a2b_base64(text_of(envelope["data_base64"]), strict_mode=True)
    except ValueError:
        raise RuleBroken("invalid_field", "data_base64", "must be the command in base64") from None


def text_of(value: msgspec.Raw | None) -> str:
    """The string in a field, empty if the field has another type."""
    try:
        return _TEXT.decode(value or b"")
    except (ValueError, RecursionError):
        return ""


def _as_json(value: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(value if isinstance(value, str) else None))
    except UnicodeEncodeError:
        return msgspec.Raw(b"null")
