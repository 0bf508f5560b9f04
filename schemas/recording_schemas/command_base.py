"""The fields of every command, and the request bodies that are made of starts."""

from datetime import UTC
from typing import Any

import msgspec

from recording_schemas.rules import RuleBroken
from recording_schemas.values import CommandId, Deadline, ProfileName


class CommandBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of every command.

    `id` is the idempotency key. It is empty on a command that has no id yet, and then it is not
    encoded. The worker does not execute a command after its `deadline`. `app` names a configured
    app; without it the command is for the only app, or for the one called `default`. For `deadline`
    and `app`, null means that the field is not given.
    """

    id: CommandId = ""
    deadline: Deadline | None = None
    app: ProfileName | None = None

    def __post_init__(self) -> None:
        # Near the ends of the calendar an offset can lead out of it, and arithmetic would fail.
        if self.deadline is not None:
            try:
                self.deadline.astimezone(UTC)
            except OverflowError as error:
                fault = "must lie in the years 1 to 9999 of UTC"
                raise RuleBroken("invalid_field", "deadline", fault) from error

    @property
    def command_type(self) -> str:
        """The field `type`, such as `stop_recording`."""
        return str(type(self).__struct_config__.tag)


def fields_without(command: CommandBase, names: frozenset[str]) -> dict[str, Any]:
    """The fields that the publisher gave, except `names`, as JSON builtins."""
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(command))
    return {name: value for name, value in fields.items() if name not in names}
