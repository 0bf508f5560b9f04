"""From the flags of `send` to a command, checked by the rules that the worker has."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from recording_schemas import Command, Malformed, decode_command

FLAGS: Final = {
    "id": "--id",
    "deadline": "--deadline",
    "app": "--app",
    "meeting_id": "--meeting-id",
    "recording_id": "--recording-id",
    "start_id": "--start-id",
    "kind": "--kind",
    "user_ids": "--user-id",
    "file_name_prefix": "--prefix",
    "layers.default.file_name_prefix": "--prefix",
    "type": "TYPE",
}
"""Which flag a member comes from, to name it when the member is wrong."""

Members = dict[str, Any]


def build_command(
    base: bytes | None,
    flags: Mapping[str, object],
    *,
    user_ids: Sequence[str],
    prefix: str | None,
    members: Sequence[str],
) -> Command:
    """The command of a file, if any, with what the flags say put over it.

    `flags` are members by their names, None where not given; `members` are `path=value` texts.
    An id is made up where there is none. Raises click.UsageError, naming flag and member.
    """
    given: Members = {name: value for name, value in flags.items() if value is not None}
    if user_ids:
        given["user_ids"] = list(user_ids)
    assignments = [_assignment(text) for text in members]
    envelope = _object(base) if base is not None else {}
    command = envelope.get("data") if "specversion" in envelope else envelope
    if isinstance(command, dict):
        command.update(given)
        if prefix is not None:
            _put(command, _prefix_path(command), prefix, "--prefix")
        for path, value in assignments:
            _put(command, path, value, "--member")
    return _checked(msgspec.json.encode(envelope), given, from_file=base is not None)


def deadline_in(seconds: float) -> str:
    """The RFC 3339 time that many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _checked(body: bytes, given: Members, *, from_file: bool) -> Command:
    try:
        return decode_command(body, message_id=str(uuid.uuid4()))
    except Malformed as wrong:
        raise click.UsageError(_in_words(wrong, given, from_file=from_file)) from wrong


def _in_words(wrong: Malformed, given: Members, *, from_file: bool) -> str:
    """The worker's words, and where the member came from."""
    if wrong.code == "missing_type" and not from_file:
        return "say what to send: a TYPE, or --file with a whole command"
    member = wrong.field or ""
    flag = FLAGS.get(member) or FLAGS.get(member.partition(".")[0])
    hint = f" ({flag})" if flag and (member.partition(".")[0] in given or not from_file) else ""
    return f"{wrong.code}: {wrong.message}{hint}"


def _object(body: bytes) -> Members:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    # It cannot be a command, and these are the words for why.
    try:
        decode_command(body, message_id="none")
    except Malformed as wrong:
        raise click.UsageError(f"--file: {wrong.code}: {wrong.message}") from wrong
    raise click.UsageError("--file: is not a JSON object")


def _assignment(text: str) -> tuple[list[str], object]:
    """`path=value`: a path has dots between its steps, a value is JSON or else a plain word."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise click.UsageError(f"--member: {path[:60]!r} is not PATH=VALUE")
    try:
        return path.split("."), msgspec.json.decode(value)
    except msgspec.DecodeError:
        return path.split("."), value


def _prefix_path(command: Members) -> list[str]:
    if command.get("type") == "start_track_recording":
        return ["layers", "default", "file_name_prefix"]
    return ["file_name_prefix"]


def _put(command: Members, path: Sequence[str], value: object, flag: str) -> None:
    holder = command
    for step in path[:-1]:
        inner = holder.setdefault(step, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"{flag}: member `{step}` has no members of its own")
        holder = inner
    holder[path[-1]] = value
