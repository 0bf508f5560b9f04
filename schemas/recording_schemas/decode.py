"""From the bytes of a message to a command, or to the reason why not, in words.

Accepted are plain JSON and structured CloudEvents 1.0 whose `data` is the command. Of a member
given twice in one object the last one counts.
"""

import re
from typing import Final

import msgspec

from recording_schemas.commands import COMMAND_TYPES, Command
from recording_schemas.explain import explain
from recording_schemas.rules import RuleBroken
from recording_schemas.values import CommandId

Members = dict[str, msgspec.Raw]

_COMMANDS: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_MEMBERS: Final = msgspec.json.Decoder(Members)
_TEXT: Final = msgspec.json.Decoder(str)
_ID: Final = msgspec.json.Decoder(CommandId)
# msgspec's errors and UnicodeDecodeError are ValueErrors; deep nesting is a RecursionError.
_UNDECODABLE: Final = (ValueError, RecursionError)

_JSON: Final = "application/json"
_CLOUDEVENTS: Final = "application/cloudevents+json"
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([^"';\s]*)""", re.IGNORECASE)


class Malformed(Exception):
    """The message is not a command, and never will be.

    `code` is a slug: `too_large`, `not_utf8`, `not_json`, `too_deep`, `not_an_object`,
    `wrong_content_type`, `missing_type`, `unknown_type`, `missing_id`, `missing_member`,
    `unknown_member`, `invalid_member` or `conflicting_members`. `message` names the member and
    its rule; nothing here repeats a received value, only the name of an unknown member. `field`
    is a dotted path such as `user_ids.3`, or None. `command_id` is what could be made out, or
    None; `command_type` is a known type or "unknown".
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        command_id: str | None = None,
        command_type: str = "unknown",
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.command_id = command_id
        self.command_type = command_type


def decode_command(
    body: bytes,
    *,
    content_type: str | None = None,
    message_id: str | None = None,
    max_bytes: int | None = None,
) -> Command:
    """The command in `body`, with its `id` set: its own, else the CloudEvent's, else `message_id`.

    `content_type` and `message_id` are the AMQP properties; no content type is taken for JSON.
    A body above `max_bytes` is not looked into. Raises Malformed and nothing else, whatever the
    bytes are.
    """
    if max_bytes is not None and len(body) > max_bytes:
        words = f"the body has {len(body)} bytes; at most {max_bytes} are read"
        raise _malformed(RuleBroken("too_large", None, words), b"", message_id)
    try:
        command = _decode(body, content_type)
        return command if command.id else _identified_by(message_id, command)
    except RuleBroken as caught:
        fault = caught
    # Raised out here so that it has no context: msgspec's own errors quote received values.
    raise _malformed(fault, body, message_id)


def encode_command(command: Command) -> bytes:
    """The command as JSON, ready to be published; raises Malformed where it breaks a rule.

    The command must have an `id`: repeats are only recognised by it.
    """
    body = msgspec.json.encode(command)
    decode_command(body)
    return body


def _decode(body: bytes, content_type: str | None) -> Command:
    media_type = _media_type(content_type)
    if media_type == _JSON:
        try:
            return _COMMANDS.decode(body)
        except _UNDECODABLE:
            pass  # It may still be a CloudEvent under a plainer name.
    members = _members(body)
    if media_type == _CLOUDEVENTS or "specversion" in members:
        return _from_envelope(members)
    return _strictly(body, members)


def _media_type(content_type: str | None) -> str:
    """One of the two that are understood; raises RuleBroken for any other."""
    media_type = (content_type or _JSON).partition(";")[0].strip().lower()
    if media_type not in {_JSON, _CLOUDEVENTS}:
        raise RuleBroken(
            "wrong_content_type", None, f"the content type must be {_JSON} or {_CLOUDEVENTS}"
        )
    charset = _CHARSET.search(content_type or "")
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise RuleBroken("wrong_content_type", None, "the content type's charset must be utf-8")
    return media_type


def _members(text: bytes | msgspec.Raw) -> Members:
    """The members of a JSON object, not looked into; raises RuleBroken if it is none."""
    try:
        bytes(text).decode()
        return _MEMBERS.decode(text)
    except UnicodeDecodeError as error:
        raise RuleBroken("not_utf8", None, f"the body is not UTF-8 (byte {error.start})") from error
    except msgspec.ValidationError as error:
        raise RuleBroken("not_an_object", None, "the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        raise RuleBroken("not_json", None, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise RuleBroken("too_deep", None, "the body is nested too deeply") from error


def _from_envelope(envelope: Members) -> Command:
    """The command in the `data` of a CloudEvent, identified by the event if not by itself."""
    for name in ("specversion", "id", "source", "type"):
        if not _text(envelope.get(name)):
            raise RuleBroken("missing_member", name, "must be given in a CloudEvent, as a string")
    if _text(envelope["specversion"]) != "1.0":
        raise RuleBroken("invalid_member", "specversion", "must be 1.0")
    if "data" not in envelope:
        raise RuleBroken("missing_member", "data", "must be given: it is the command")
    try:
        members = _members(envelope["data"])
    except RuleBroken as error:
        raise RuleBroken("invalid_member", "data", "must be an object: the command") from error
    command = _strictly(bytes(envelope["data"]), members)
    if command.id:
        return command
    if (event_id := _valid_id(envelope["id"])) is None:
        raise RuleBroken("invalid_member", "id", "must be 1 to 128 printable characters")
    return msgspec.structs.replace(command, id=event_id)


def _strictly(text: bytes, members: Members) -> Command:
    """The command in `text`; raises RuleBroken in words. `members` is the same, taken apart."""
    if "type" not in members:
        known = ", ".join(COMMAND_TYPES)
        raise RuleBroken("missing_type", "type", f"is missing; it must be one of {known}")
    if (struct := COMMAND_TYPES.get(_text(members["type"]))) is None:
        known = ", ".join(COMMAND_TYPES)
        raise RuleBroken("unknown_type", "type", f"must be one of {known}")
    try:
        return _COMMANDS.decode(text)
    except msgspec.ValidationError as error:
        raise explain(error, struct) from error
    except _UNDECODABLE as error:
        raise RuleBroken("not_json", None, "the body is not JSON") from error


def _identified_by(message_id: str | None, command: Command) -> Command:
    if not message_id:
        raise RuleBroken("missing_id", "id", "is missing, and the message has no message_id")
    if _valid_id(_as_json(message_id)) is None:
        raise RuleBroken("invalid_member", None, "message_id must be 1 to 128 printable characters")
    return msgspec.structs.replace(command, id=message_id)


def _malformed(fault: RuleBroken, body: bytes, message_id: str | None) -> Malformed:
    """The fault together with what can still be made out of the message."""
    outer = _peek(body)
    inner = _peek(outer["data"]) if "data" in outer else outer
    ids = (inner.get("id"), outer.get("id"), _as_json(message_id))
    command_id = next((found for found in map(_valid_id, ids) if found), None)
    command_type = _text(inner.get("type"))
    return Malformed(
        fault.code,
        fault.message,
        fault.member,
        command_id,
        command_type if command_type in COMMAND_TYPES else "unknown",
    )


def _peek(text: bytes | msgspec.Raw | None) -> Members:
    """The members, or none where the text is no JSON object."""
    try:
        return _MEMBERS.decode(text or b"")
    except _UNDECODABLE:
        return {}


def _text(value: msgspec.Raw | None) -> str:
    """The string that a member holds, or an empty one."""
    try:
        return _TEXT.decode(value or b"")
    except _UNDECODABLE:
        return ""


def _as_json(text: str | None) -> bytes:
    """The text as a JSON string, or nothing where it has no UTF-8 form (a lone surrogate)."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return b""


def _valid_id(value: bytes | msgspec.Raw | None) -> str | None:
    try:
        return _ID.decode(value or b"")
    except _UNDECODABLE:
        return None
