"""Renders dead letters: as tables and text for users, as JSON lines for scripts."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from worker.cli.dead.letter import DecodedLetter
from worker.cli.output import Column, Row, print_rows
from worker.cli.redaction import redact_json, redact_unparsed
from worker.domain.escaping import escape_controls
from worker.settings.secret import REDACTED

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_reason import DeadLetterReason

COLUMNS: Final = (
    Column("#", "position"),
    Column("letter", "letter", "id"),
    Column("type", "command_type", "type"),
    Column("reason", "reason_code", "name"),
    Column("tries", "attempts", "name"),
    Column("first", "first_seen", "time", spare=True),
    Column("last", "last_seen", "time"),
    Column("replays", "replays", "name", spare=True),
)
SENT_BEFORE: Final = (
    "not executed a second time, because workers have it from an earlier replay of this letter; "
    "they publish its outcome again"
)
"""What a replay under a new id means if workers have received that id."""

_RESULTS: Final = {
    "replayed": "Replayed",
    "would_replay": "Would replay",
    "refused": "Not replayed",
    "dropped": "Dropped",
    "would_drop": "Would drop",
}
_WORKER_HEADERS: Final = ("x-reason", "x-reason-code")
"""The headers that workers write. They may name a field that holds a secret, but never repeat a
value."""


def letter_row(decoded: DecodedLetter) -> Row:
    """The fields of one JSON line of `dead list`."""
    letter, reason = decoded.letter, decoded.letter.reason
    return {
        "position": letter.position,
        "letter": decoded.handle,
        "command_id": decoded.command_id,
        "command_type": decoded.command_type,
        "reason_code": reason.code,
        "reason": reason.message,
        "dead_lettered_by": reason.by,
        "attempts": reason.attempts,
        "first_seen": reason.first_seen,
        "last_seen": reason.last_seen,
        "replays": letter.replays,
        "replayed_at": letter.replayed_at,
        "has_outcome": decoded.has_outcome,
        "routing_key": letter.routing_key,
        "bytes": decoded.size,
    }


def letter_details(decoded: DecodedLetter, *, raw: bool) -> Row:
    """Every field of the letter. Secrets are redacted unless `raw`, which has the original body.

    `body_encoding` says how to read `body`: `json` is the value itself, `text` and `base64` are
    strings. Unless `raw`, a packed body is unpacked, because packed secrets cannot be found.
    """
    letter = decoded.letter
    encoding, body = _body(letter.body, raw=True) if raw else _unpacked_body(decoded)
    headers = _to_json(letter.headers)
    return {
        **letter_row(decoded),
        "reason_help": _reason_help(letter.reason),
        "content_type": letter.content_type,
        "content_encoding": letter.content_encoding,
        "message_id": letter.message_id,
        "correlation_id": letter.correlation_id,
        "reply_to": letter.reply_to,
        "type": letter.type,
        "app_id": letter.app_id,
        "timestamp": letter.timestamp,
        "headers": headers if raw else _redact_headers(headers),
        "body_encoding": encoding,
        "body": body,
    }


def _reason_help(reason: "DeadLetterReason") -> str | None:
    """The address of the section about the reason, None if the reason has none."""
    from recording_schemas import error_section
    from worker.domain.outcomes import DEAD_LETTERED

    return error_section(DEAD_LETTERED if reason.by == "broker" else reason.code)


def _unpacked_body(decoded: DecodedLetter) -> tuple[str, object]:
    try:
        return _body(decoded.readable_body(), raw=False)
    except ValueError:
        return "text", REDACTED


def _body(body: bytes, *, raw: bool) -> tuple[str, object]:
    if not raw:
        try:
            return "json", redact_json(msgspec.json.decode(body))
        except (ValueError, RecursionError):
            pass
    try:
        text = body.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        readable = body.decode("latin-1")
        return "base64", encoded if raw else redact_unparsed(readable, safe_form=encoded)
    return "text", text if raw else redact_unparsed(text)


def _redact_headers(headers: Row) -> Row:
    redacted: Row = redact_json(headers)
    return redacted | {name: headers[name] for name in _WORKER_HEADERS if name in headers}


def _to_json(value: Any) -> Any:  # noqa: ANN401 - any value of an AMQP table
    """The value in types that JSON has. Other types become Python's text."""
    match value:
        case dict():
            return {str(name): _to_json(inner) for name, inner in value.items()}
        case list():
            return [_to_json(inner) for inner in value]
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case None | bool() | int() | float() | str() | datetime():
            return value
    return str(value)


def print_result(row: Row) -> None:
    """Print what was done with one letter, in one line."""
    words = [_RESULTS[str(row["result"])], row["command_type"], row["letter"]]
    words += [f"({row['reason_code']})", row.get("detail")]
    if row.get("new_command_id"):
        words.append(f"as {row['new_command_id']}")
    if row.get("sent_before"):
        words[-1] += f": {SENT_BEFORE}"
    click.echo(escape_controls(" ".join(str(word) for word in words if word)))


def print_letters(letters: Sequence[DecodedLetter], *, as_json: bool) -> None:
    """Print one row for each letter."""
    rows = [letter_row(decoded) for decoded in letters]
    print_rows(COLUMNS, rows, as_json=as_json, nothing="No dead letter matches.")


def print_details(details: Row) -> None:
    """Print one field a line, then the body, indented."""
    body, encoding = details.pop("body"), details.pop("body_encoding")
    for name, value in details.items():
        if value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            click.echo(f"{name}: {escape_controls(text)}")
    click.echo(f"body ({encoding}):")
    for line in _body_text(body, encoding).splitlines():
        click.echo(f"  {escape_controls(line)}")


def _body_text(body: object, encoding: object) -> str:
    if encoding != "json":
        return str(body)
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
