"""What a dead letter says to people and scripts, which ones are meant, and a new id for one."""

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import click
import msgspec

from worker.cli.redaction import redact_json, redact_unparsed

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetter
    from worker.broker.admin.dead_letter_reason import DeadLetterReason

REPLAY_OF: Final = "x-replay-of"
UNANSWERED: Final = ("missing_id",)
Row = dict[str, object]
Members = dict[str, msgspec.Raw]
_MEMBERS: Final = msgspec.json.Decoder(Members)
_MOMENT: Final = Annotated[datetime, msgspec.Meta(tz=True)]


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A letter and the command that can be made out in it.

    `handle` is what names it on the command line: the command's id, else a few letters of its
    fingerprint. `command_type` is "unknown" unless it is one of the known ones.
    """

    letter: "DeadLetter"
    fingerprint: str
    size: int
    command_id: str | None
    command_type: str

    @property
    def handle(self) -> str:
        """Stays the same for as long as the letter lies there; positions do not."""
        return self.command_id or self.fingerprint[:12]

    @property
    def answered(self) -> bool:
        """Whether workers told an outcome of this id, which they repeat when it comes again."""
        burial = self.letter.reason
        return (
            burial.by == "worker" and burial.code not in UNANSWERED and self.command_id is not None
        )

    def without_body(self) -> Self:
        """The same for those who keep many."""
        return msgspec.structs.replace(self, letter=msgspec.structs.replace(self.letter, body=b""))


def made_out(letter: "DeadLetter", most_bytes: int) -> DeadLetterView:
    """Read the letter as a worker does: bodies above `most_bytes` are not decoded."""
    command_id, command_type = _command_of(letter, most_bytes)
    return DeadLetterView(
        letter=letter,
        fingerprint=letter.fingerprint,
        size=len(letter.body),
        command_id=command_id or None,
        command_type=command_type,
    )


def _command_of(letter: "DeadLetter", most_bytes: int) -> tuple[str | None, str]:
    from recording_schemas import Malformed, decode_command

    if len(letter.body) > most_bytes:
        return letter.message_id, "unknown"
    try:
        command = decode_command(
            letter.body, content_type=letter.content_type, message_id=letter.message_id
        )
    except Malformed as malformed:
        return malformed.command_id, malformed.command_type
    return command.id, command.command_type


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant; what is not given means any.

    `before` compares with the time of burial, else with when the letter was first seen; a letter
    that tells neither is not meant.
    """

    handles: frozenset[str] = frozenset()
    fingerprints: frozenset[str] | None = None
    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    before: datetime | None = None

    def matches(self, one: DeadLetterView) -> bool:
        """Whether this letter is meant."""
        if self.handles and one.handle not in self.handles:
            return False
        if self.fingerprints is not None and one.fingerprint not in self.fingerprints:
            return False
        if self.reasons and one.letter.reason.code not in self.reasons:
            return False
        if self.types and one.command_type not in self.types:
            return False
        return self.before is None or self._is_before(one.letter.reason)

    def _is_before(self, burial: "DeadLetterReason") -> bool:
        when = burial.last_seen or burial.first_seen
        return self.before is not None and when is not None and when < self.before


def moment(text: str | None) -> datetime | None:
    """The RFC 3339 time of `--before`. Raises click.UsageError."""
    if text is None:
        return None
    try:
        found: datetime = msgspec.convert(text, _MOMENT)
    except msgspec.ValidationError:
        raise click.UsageError(
            "--before: must be an RFC 3339 time with its offset, such as 2025-06-01T12:00:00Z"
        ) from None
    return found


def row(one: DeadLetterView) -> Row:
    """The members of its JSON line."""
    letter, burial = one.letter, one.letter.reason
    return {
        "position": letter.position,
        "letter": one.handle,
        "command_id": one.command_id,
        "command_type": one.command_type,
        "reason_code": burial.code,
        "reason": burial.message,
        "buried_by": burial.by,
        "attempts": burial.attempts,
        "first_seen": burial.first_seen,
        "last_seen": burial.last_seen,
        "replays": letter.replays,
        "replayed_at": letter.replayed_at,
        "answered": one.answered,
        "routing_key": letter.routing_key,
        "bytes": one.size,
    }


def everything(one: DeadLetterView, *, raw: bool) -> Row:
    """All that is known of it. Secrets are masked unless `raw`, which has the body as it came.

    `body_encoding` says how `body` is to be read: `json` is the value itself, `text` and `base64`
    are strings.
    """
    letter = one.letter
    encoding, body = _body(letter.body, raw=raw)
    headers = _plain(letter.headers)
    return {
        **row(one),
        "content_type": letter.content_type,
        "content_encoding": letter.content_encoding,
        "message_id": letter.message_id,
        "correlation_id": letter.correlation_id,
        "reply_to": letter.reply_to,
        "type": letter.type,
        "app_id": letter.app_id,
        "timestamp": letter.timestamp,
        "headers": headers if raw else {**redact_json(headers), **_words_of_workers(headers)},
        "body_encoding": encoding,
        "body": body,
    }


def with_new_id(one: DeadLetterView, new_id: str) -> "DeadLetter":
    """The letter with `new_id` in its body, and its former id in the header `x-replay-of`.

    The rest of the body stays as it was written. In a CloudEvent it is the command in `data` that
    gets the id. Raises ValueError when the body, or that `data`, is no JSON object.
    """
    members = _members(one.letter.body, "the body")
    encoded = msgspec.Raw(msgspec.json.encode(new_id))
    if "specversion" in members:
        inner = _members(bytes(members.get("data", b"")), "member `data`")
        inner["id"] = encoded
        members["data"] = msgspec.Raw(msgspec.json.encode(inner))
    else:
        members["id"] = encoded
    headers = dict(one.letter.headers)
    if one.command_id is not None:
        headers[REPLAY_OF] = one.command_id
    return msgspec.structs.replace(
        one.letter, body=msgspec.json.encode(members), message_id=new_id, headers=headers
    )


def _members(text: bytes, what: str) -> Members:
    try:
        return _MEMBERS.decode(text)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{what} is no JSON object, so that no id can be written into it"
        ) from None


def _words_of_workers(headers: Row) -> Row:
    """They name members that hold secrets, and never repeat a value."""
    return {name: headers[name] for name in ("x-reason", "x-reason-code") if name in headers}


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
        return "base64", encoded if raw else redact_unparsed(body.decode("latin-1"), shown=encoded)
    return "text", text if raw else redact_unparsed(text)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever AMQP's tables hold
    """What JSON can hold; the rest as Python writes it."""
    match value:
        case dict():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case None | bool() | int() | float() | str() | datetime():
            return value
    return str(value)
