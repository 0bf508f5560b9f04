"""Decodes the bytes of a message into a command, or explains why they are not a command.

Three forms are accepted: plain JSON, a structured CloudEvent 1.0 whose `data` is the command, and a
CloudEvent in binary mode, whose attributes are headers and whose body is the command. No object may
have a field twice.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from recording_schemas.almost_json import almost_json_fields
from recording_schemas.body_encoding import readable_body, wrapped_text
from recording_schemas.cloud_events import (
    HEADER_PREFIXES,
    binary_attributes,
    check_attributes,
    data_of,
    text_of,
)
from recording_schemas.commands import COMMAND_TYPES, Command
from recording_schemas.deadline_text import check_deadline
from recording_schemas.explain import explain
from recording_schemas.leap_seconds import without_leap_deadline
from recording_schemas.metadata import check_size, named_value, readable_metadata
from recording_schemas.numbers import with_whole_numbers
from recording_schemas.rules import RuleBroken
from recording_schemas.unique_names import check_unique_names
from recording_schemas.values import CommandId

Fields = dict[str, msgspec.Raw]

_COMMANDS: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_ID: Final = msgspec.json.Decoder(CommandId)
# msgspec's errors and UnicodeDecodeError are ValueErrors; deep nesting is a RecursionError.
_UNDECODABLE: Final = (ValueError, RecursionError)

_MAX_QUICK_BYTES: Final = 131_072
"""A larger body is hardly a plain command, so it is decoded once, after a look at its fields."""

_JSON: Final = "application/json"
_CLOUDEVENTS: Final = "application/cloudevents+json"
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([^"';\s]*)""", re.IGNORECASE)


class Malformed(Exception):
    """The message is not a command, and never will be.

    `code` is a slug: `too_large`, `not_gzip`, `not_utf8`, `not_json`, `too_deep`, `not_an_object`,
    `wrong_content_type`, `wrong_content_encoding`, `missing_type`, `unknown_type`,
    `missing_id`, `missing_field`, `unknown_field`, `invalid_field` or `conflicting_fields`.
    `message` names the field and its rule. No text repeats a received value, except the name of an
    unknown field or encoding. `field` is a path such as `user_ids[3]`, or None. `command_id`
    is None if the message has no readable id. `command_type` is a known type or "unknown".
    `metadata` is that of a start whose metadata is valid, else None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        command_id: str | None = None,
        command_type: str = "unknown",
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.command_id = command_id
        self.command_type = command_type
        self.metadata = metadata


def decode_command(
    body: bytes,
    *,
    content_type: str | None = None,
    content_encoding: str | None = None,
    message_id: str | None = None,
    headers: Mapping[str, object] = {},
    max_bytes: int | None = None,
) -> Command:
    """The command in `body`, with its `id` set: its own, else the CloudEvent's, else `message_id`.

    `content_type`, `content_encoding`, `message_id` and `headers` are the AMQP properties; without
    a content type the body counts as JSON. A body above `max_bytes` is refused unread, and a packed
    one is unpacked to at most as many. Raises only Malformed, for any bytes.
    """
    if max_bytes is not None and len(body) > max_bytes:
        raise too_large(len(body), max_bytes, message_id=message_id, headers=headers)
    text, attributes = b"", _attributes(headers)
    try:
        text = readable_body(body, content_encoding, max_bytes)
        command = _decode(text, content_type, attributes)
        return command if command.id else _identified_by(message_id, command)
    except RuleBroken as caught:
        fault = caught
    # Raised outside the handler, so that it has no context: msgspec's errors quote received values.
    raise _malformed(fault, text or body, message_id, attributes)


def too_large(
    size: int, max_bytes: int, *, message_id: str | None, headers: Mapping[str, object] = {}
) -> Malformed:
    """The refusal of an unread body of `size` bytes."""
    text = f"the body has {size} bytes; at most {max_bytes} are read"
    fault = RuleBroken("too_large", None, text)
    return _malformed(fault, b"", message_id, _attributes(headers))


def encode_command(command: Command) -> bytes:
    """The command as JSON, ready to be published. Raises Malformed if it breaks a rule.

    The command must have an `id`, because the worker recognises repeats by nothing else.
    """
    try:
        body = msgspec.json.encode(command)
    except UnicodeEncodeError:
        fault = "a text has a lone surrogate, which UTF-8 cannot express"
        raise Malformed("not_utf8", fault) from None
    decode_command(body)
    return body


def _attributes(headers: Mapping[str, object]) -> Fields:
    return binary_attributes(headers) if headers else {}


def _decode(body: bytes, content_type: str | None, attributes: Fields) -> Command:
    media_type = _media_type(content_type)
    if media_type == _JSON and attributes:
        return _from_binary_event(body, attributes)
    if media_type == _JSON and len(body) <= _MAX_QUICK_BYTES:
        try:
            command = _COMMANDS.decode(body)
        except _UNDECODABLE:
            pass  # It may still be a CloudEvent that is labelled as JSON.
        else:
            return _checked(command, body)
    fields = _fields(body)
    if media_type == _CLOUDEVENTS or "specversion" in fields:
        command = _from_envelope(fields)
        check_unique_names(body)
        return command
    return _command(body, fields)


def _media_type(content_type: str | None) -> str:
    """The media type, one of the two accepted ones. Raises RuleBroken for any other."""
    media_type = (content_type or _JSON).partition(";")[0].strip().lower()
    if media_type not in {_JSON, _CLOUDEVENTS}:
        raise RuleBroken(
            "wrong_content_type", None, f"the content type must be {_JSON} or {_CLOUDEVENTS}"
        )
    charset = _CHARSET.search(content_type or "")
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise RuleBroken("wrong_content_type", None, "the content type's charset must be utf-8")
    return media_type


def _fields(text: bytes | msgspec.Raw) -> Fields:
    """The fields of a JSON object, still encoded. Raises RuleBroken if it is no JSON object."""
    try:
        bytes(text).decode()
        return _FIELDS.decode(text)
    except UnicodeDecodeError as error:
        raise RuleBroken("not_utf8", None, f"the body is not UTF-8 (byte {error.start})") from error
    except msgspec.ValidationError as error:
        twice = ", not a string: it was encoded twice" if bytes(text).startswith(b'"') else ""
        raise RuleBroken("not_an_object", None, f"the body must be a JSON object{twice}") from error
    except msgspec.DecodeError as error:
        raise RuleBroken("not_json", None, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise RuleBroken("too_deep", None, "the body is nested too deeply") from error


def _from_envelope(envelope: Fields) -> Command:
    """The command in the data of a CloudEvent. Without an id it takes the event's."""
    check_attributes(envelope)
    if (data := data_of(envelope)) is None:
        raise RuleBroken("missing_field", "data", "must be given: it is the command")
    try:
        fields = _fields(data)
    except RuleBroken as error:
        name = "data" if "data" in envelope else "data_base64"
        raise RuleBroken("invalid_field", name, "must be an object: the command") from error
    return _with_event_id(_command(data, fields), envelope)


def _from_binary_event(body: bytes, attributes: Fields) -> Command:
    """The command in the body of a CloudEvent whose attributes are headers."""
    check_attributes(attributes, HEADER_PREFIXES[0])
    return _with_event_id(_command(body, _fields(body)), attributes, HEADER_PREFIXES[0])


def _with_event_id(command: Command, attributes: Fields, prefix: str = "") -> Command:
    if command.id:
        return command
    if (event_id := _valid_id(attributes["id"])) is None:
        raise RuleBroken("invalid_field", f"{prefix}id", "must be 1 to 128 printable characters")
    return msgspec.structs.replace(command, id=event_id)


def _command(text: bytes, fields: Fields) -> Command:
    """The command in `text`, whose fields are `fields`. Raises RuleBroken."""
    if "type" not in fields:
        known = ", ".join(COMMAND_TYPES)
        raise RuleBroken("missing_type", "type", f"is missing; it must be one of {known}")
    if (struct := COMMAND_TYPES.get(text_of(fields["type"]))) is None:
        known = ", ".join(COMMAND_TYPES)
        raise RuleBroken("unknown_type", "type", f"must be one of {known}")
    check_size(struct, fields.get("metadata"))
    return _checked(_valid(text, fields, struct), text)


def _checked(command: Command, text: bytes) -> Command:
    """The command, if its text keeps the rules that the decoder does not know."""
    check_unique_names(text)
    if command.deadline is not None:
        check_deadline(text)
    return command


def _valid(text: bytes, fields: Fields, struct: type[Command]) -> Command:
    try:
        try:
            return _COMMANDS.decode(text)
        except msgspec.ValidationError:
            without_leap = without_leap_deadline(text)
            with_integers = with_whole_numbers(without_leap or text)
            if (readable := with_integers or without_leap) is None:
                raise
            return _COMMANDS.decode(readable)
    except msgspec.ValidationError as error:
        raise named_value(explain(error, struct), fields.get("metadata")) from error
    except _UNDECODABLE as error:
        raise RuleBroken("not_json", None, "the body is not JSON") from error


def _identified_by(message_id: str | None, command: Command) -> Command:
    if not message_id:
        raise RuleBroken("missing_id", "id", "is missing, and the message has no message_id")
    if _valid_id(_as_json(message_id)) is None:
        raise RuleBroken("invalid_field", None, "message_id must be 1 to 128 printable characters")
    return msgspec.structs.replace(command, id=message_id)


def _malformed(
    fault: RuleBroken, body: bytes, message_id: str | None, attributes: Fields
) -> Malformed:
    """The fault, with the command's id and type if the message has readable ones."""
    outer = _peek(body)
    inner = _inner(outer)
    ids = (inner.get("id"), outer.get("id"), attributes.get("id"), _as_json(message_id))
    command_id = next((found for found in map(_valid_id, ids) if found), None)
    command_type = text_of(inner.get("type"))
    struct = COMMAND_TYPES.get(command_type)
    return Malformed(
        fault.code,
        fault.message,
        fault.field,
        command_id,
        command_type if struct else "unknown",
        readable_metadata(struct, inner.get("metadata")),
    )


def _inner(outer: Fields) -> Fields:
    """The fields of the command, which may be the data of a CloudEvent."""
    try:
        data = data_of(outer)
    except RuleBroken:
        return {}
    return outer if data is None else _peek(data)


def _peek(text: bytes | msgspec.Raw | None) -> Fields:
    """The fields, or none if the text is no JSON object."""
    try:
        return _FIELDS.decode(text or b"")
    except _UNDECODABLE:
        return almost_json_fields(wrapped_text(bytes(text or b"")))


def _as_json(text: str | None) -> bytes:
    """The text as a JSON string, empty if it has no UTF-8 form (a lone surrogate)."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return b""


def _valid_id(value: bytes | msgspec.Raw | None) -> str | None:
    try:
        return _ID.decode(value or b"")
    except _UNDECODABLE:
        return None
