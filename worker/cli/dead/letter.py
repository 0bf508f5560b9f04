"""Decodes a dead letter as far as possible, and gives its command a new id."""

import gzip
from typing import TYPE_CHECKING, Final, Self

import msgspec

from recording_schemas.cloud_events import data_of
from recording_schemas.unique_names import check_unique_names

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter import DeadLetter

REPLAY_OF: Final = "x-replay-of"
"""The header with the former command id, on a letter that was replayed under a new one."""

_CODES_WITHOUT_OUTCOME: Final = frozenset({"missing_id"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_HANDLE_DIGITS: Final = 12

JsonFields = dict[str, msgspec.Raw]
_OBJECT_DECODER: Final = msgspec.json.Decoder(JsonFields)


class DecodedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter, with the parts of its command that could be decoded.

    `size` is in bytes. `command_type` is "unknown" unless the type is a known one.
    """

    letter: "DeadLetter"
    fingerprint: str
    size: int
    command_id: str | None
    command_type: str

    @property
    def handle(self) -> str:
        """The name on the command line: the command id, else twelve digits of the fingerprint.

        Unlike a position, it stays the same while the letter is in the queue.
        """
        return self.command_id or self.fingerprint[:_HANDLE_DIGITS]

    @property
    def has_outcome(self) -> bool:
        """Whether a worker published an outcome, or does so as soon as one runs.

        A repeat of the id only gets that outcome again.
        """
        if self.command_id is None or self.letter.reason.by == "unknown":
            return False
        return self.letter.reason.code not in _CODES_WITHOUT_OUTCOME

    def readable_body(self) -> bytes:
        """The body unpacked and without a byte order mark. Raises ValueError if it stays packed."""
        from recording_schemas.body_encoding import readable_body
        from recording_schemas.rules import RuleBroken

        body, encoding = self.letter.body, self.letter.content_encoding
        try:
            return readable_body(body, encoding)
        except RuleBroken as error:
            if error.code == "not_utf8" and not encoding:
                return body
            raise

    def without_body(self) -> Self:
        """A copy without the body, to keep many letters in memory."""
        return msgspec.structs.replace(self, letter=msgspec.structs.replace(self.letter, body=b""))


def decode_letter(letter: "DeadLetter", max_bytes: int) -> DecodedLetter:
    """Decode the letter as a worker does. A body above `max_bytes` is not decoded."""
    command_id, command_type = _decode_command(letter, max_bytes)
    return DecodedLetter(
        letter=letter,
        fingerprint=letter.fingerprint,
        size=len(letter.body),
        command_id=command_id or None,
        command_type=command_type,
    )


def _decode_command(letter: "DeadLetter", max_bytes: int) -> tuple[str | None, str]:
    from recording_schemas import Malformed, decode_command

    if len(letter.body) > max_bytes:
        return letter.message_id, "unknown"
    try:
        command = decode_command(
            letter.body,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            message_id=letter.message_id,
            headers=letter.headers,
            max_bytes=max_bytes,
        )
    except Malformed as error:
        return error.command_id, error.command_type
    return command.id, command.command_type


def with_new_id(decoded: DecodedLetter, new_id: str) -> "DeadLetter":
    """The letter with `new_id` in its body, and the former id in the header `x-replay-of`.

    In a CloudEvent, the command in the data gets the id, and `data_base64` becomes `data`. The rest
    of the body stays as it was written, and a packed body is packed again.

    Raises:
        ValueError: the body, or the `data` of a CloudEvent, is not a JSON object, has a field
            twice, or cannot be unpacked.
    """
    letter = decoded.letter
    former_id = {} if decoded.command_id is None else {REPLAY_OF: decoded.command_id}
    readable = decoded.readable_body()
    body = _body_with_id(readable, msgspec.Raw(msgspec.json.encode(new_id)))
    if letter.body.startswith(_GZIP_MAGIC):
        body = gzip.compress(body)
    return msgspec.structs.replace(letter, body=body, message_id=new_id, added_headers=former_id)


def _body_with_id(body: bytes, encoded_id: msgspec.Raw) -> bytes:
    fields = _decode_object(body, "the body")
    if "specversion" in fields:
        command = _decode_object(data_of(fields) or b"", "the field `data`")
        command["id"] = encoded_id
        fields.pop("data_base64", None)
        fields["data"] = msgspec.Raw(msgspec.json.encode(command))
    else:
        fields["id"] = encoded_id
    return msgspec.json.encode(fields)


def _decode_object(text: bytes, subject: str) -> JsonFields:
    try:
        fields = _OBJECT_DECODER.decode(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{subject} is not a JSON object, so it cannot carry a new id") from None
    check_unique_names(text)  # the copy would have the last one alone
    return fields
