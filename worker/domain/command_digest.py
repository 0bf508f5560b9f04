"""The digest of a command: two messages with the same digest request the same thing. Pure."""

import hashlib
from typing import Any, Final

import msgspec

from recording_schemas import Command
from recording_schemas.composite import Parameter

NO_COMMAND: Final = "no command"
"""The digest of every message that is not a valid command, because none of them is executed."""

_LISTS_OF_PEOPLE: Final = ("user_ids", "custom_participant_ids")


def command_digest(command: Command) -> str:
    """32 hexadecimal digits.

    The form of the message does not count: white space, the order of keys, gzip, a CloudEvent
    around the command. Nor does the order of people. A `deadline` does not count, because it limits
    when the command is executed, not what is executed.

    Secrets do not count, because a reader of the table could test guesses with the digest.

    The inbox keeps digests. If another version computed another digest for a command, a message
    that waits for its retry would count as another body. A test pins the digests.
    """
    fields: dict[str, Any] = msgspec.to_builtins(command)
    fields.pop("id", None)
    fields.pop("deadline", None)
    for name in _LISTS_OF_PEOPLE:
        if name in fields:
            fields[name] = sorted(set(fields[name]))
    for name, value in fields.items():
        if isinstance(value, dict):
            _remove_secrets(getattr(command, name), value)
    canonical = msgspec.json.encode(fields, order="sorted")
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def _remove_secrets(parameter: object, fields: dict[str, Any]) -> None:
    if isinstance(parameter, Parameter):
        for name in parameter.secret_fields:
            fields.pop(name, None)
