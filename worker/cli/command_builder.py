"""Builds a command from the flags of `send`, and checks it by the worker's rules."""

import base64
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from recording_schemas import Command, Malformed, decode_command
from recording_schemas.body_encoding import readable_body
from recording_schemas.rules import RuleBroken
from recording_schemas.unique_names import check_unique_names

FLAGS: Final = {
    "id": "--id",
    "deadline": "--deadline",
    "app": "--app",
    "meeting_id": "--meeting-id",
    "recording_id": "--recording-id",
    "start_id": "--start-id",
    "kind": "--kind",
    "user_ids": "--user-id",
    "custom_participant_ids": "--custom-participant-id",
    "metadata": "--metadata",
    "wait_for_session": "--wait-for-session",
    "file_name_prefix": "--prefix",
    "layers.default.file_name_prefix": "--prefix",
    "type": "TYPE",
}
"""The flag of each field, so that an error about the field can name the flag."""

Fields = dict[str, Any]


def build_command(
    file_body: bytes | None,
    *,
    prefix: str | None = None,
    metadata: Sequence[str] = (),
    assignments: Sequence[str] = (),
    **fields: object,
) -> Command:
    """Merge a command from a file, if any, with the flags. The flags take precedence.

    `metadata` are `NAME=VALUE` texts, `assignments` are `PATH=VALUE` texts. All other flags are
    `fields` of the command, None or empty if not set. A command without an id gets a random one.
    Raises click.UsageError, which names the flag and the field.
    """
    overrides: Fields = {name: value for name, value in fields.items() if value not in (None, ())}
    entries = [_parse_entry(text) for text in metadata]
    parsed_assignments = [_parse_assignment(text) for text in assignments]
    envelope = _decode_file(file_body) if file_body is not None else {}
    command = envelope.get("data") if "specversion" in envelope else envelope
    if isinstance(command, dict):
        command.update(overrides)
        if prefix is not None:
            _assign(command, _prefix_path(command), prefix, "--prefix")
        for name, text in entries:
            _assign(command, ["metadata", name], text, "--metadata")
        for path, value in parsed_assignments:
            _assign(command, path, value, "--field")
    try:
        body = msgspec.json.encode(envelope)
    except UnicodeEncodeError:  # bytes of an argument that are not in the terminal's encoding
        raise click.UsageError("a flag has bytes that are not UTF-8 text") from None
    return _decode_checked(body, overrides, from_file=file_body is not None)


def deadline_in(seconds: float) -> str:
    """The RFC 3339 time that is this many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _decode_checked(body: bytes, overrides: Fields, *, from_file: bool) -> Command:
    try:
        return decode_command(body, message_id=str(uuid.uuid4()))
    except Malformed as error:
        raise click.UsageError(_error_text(error, overrides, from_file=from_file)) from error


def _error_text(error: Malformed, overrides: Fields, *, from_file: bool) -> str:
    """The worker's error text, with the flag of the wrong field."""
    if error.code == "missing_type" and not from_file:
        return "the command is missing: give a TYPE, or --file with a whole command"
    field = error.field or ""
    top_field = re.split(r"[.\[]", field, maxsplit=1)[0]
    flag = FLAGS.get(field) or FLAGS.get(top_field)
    hint = f" ({flag})" if flag and (top_field in overrides or not from_file) else ""
    return f"{error.code}: {error.message}{hint}"


def _decode_file(body: bytes) -> Fields:
    try:
        text = readable_body(body)
        content = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        _check_fields(text)
        return _with_plain_data(content)
    # Not a command: the decoder of commands has the exact reason.
    try:
        decode_command(body, message_id="none")
    except Malformed as error:
        raise click.UsageError(f"--file: {error.code}: {error.message}") from error
    raise click.UsageError("--file: is not a JSON object")


def _check_fields(text: bytes) -> None:
    """Refuse a field that is given twice: decoding keeps only the last one."""
    try:
        check_unique_names(text)
    except RuleBroken as error:
        raise click.UsageError(f"--file: {error.code}: {error.message}") from None


def _with_plain_data(envelope: Fields) -> Fields:
    """A CloudEvent's base64 data as its `data`, so that flags can override the fields in it."""
    if not envelope.keys() >= {"specversion", "data_base64"} or "data" in envelope:
        return envelope
    try:
        text = base64.b64decode(envelope["data_base64"], validate=True)
        data = msgspec.json.decode(text)
    except (TypeError, ValueError, RecursionError):
        return envelope  # the decoder of commands has the exact reason
    _check_fields(text)
    return {name: value for name, value in envelope.items() if name != "data_base64"} | {
        "data": data
    }


def _parse_assignment(text: str) -> tuple[list[str], object]:
    """Split `PATH=VALUE`. Dots separate the steps of a path. A value is JSON, else plain text."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise click.UsageError(f"--field: {path[:60]!r} is not PATH=VALUE")
    try:
        return path.split("."), msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return path.split("."), value


def _parse_entry(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`. The value is always a text, also if it looks like a number."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--metadata: {name[:60]!r} is not NAME=VALUE")
    return name, value


def _prefix_path(command: Fields) -> list[str]:
    if command.get("type") == "start_track_recording":
        return ["layers", "default", "file_name_prefix"]
    return ["file_name_prefix"]


def _assign(command: Fields, path: Sequence[str], value: object, flag: str) -> None:
    parent = command
    for step in path[:-1]:
        child = parent.setdefault(step, {})
        if not isinstance(child, dict):
            raise click.UsageError(f"{flag}: the field `{step}` is not an object")
        parent = child
    parent[path[-1]] = value
