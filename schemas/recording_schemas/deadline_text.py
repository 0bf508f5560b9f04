"""Checks the text of a `deadline`, because the decoder accepts more than RFC 3339."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from recording_schemas.command_base import CommandBase
from recording_schemas.rules import RuleBroken, in_words, type_at
from recording_schemas.values import RFC3339_PATTERN


class _WithDeadline(msgspec.Struct):
    deadline: Annotated[str, Meta(pattern=RFC3339_PATTERN)]


_DECODER: Final = msgspec.json.Decoder(_WithDeadline)


def check_deadline(text: bytes) -> None:
    """Raise RuleBroken unless the `deadline` in this JSON of a command is one of RFC 3339."""
    try:
        _DECODER.decode(text)
    except msgspec.ValidationError as error:
        rule = in_words(type_at(CommandBase, ["deadline"]))
        raise RuleBroken("invalid_field", "deadline", f"must be {rule}") from error
