"""The fields of every command, and the request bodies that are made of starts."""

from datetime import UTC
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from recording_schemas.rules import RuleBroken
from recording_schemas.values import CommandId, Deadline, ProfileName

START_FIELDS: Final = frozenset(
    {"type", "id", "deadline", "app", "storage_profile", "metadata", "wait_for_session"}
)
"""The fields of the starts that are for the worker; the API does not know them."""


class CommandBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of every command.

    `id` is the idempotency key. It is empty on a command that has no id yet, and then it is not
    encoded. The worker does not execute a command after its `deadline`. `app` names a configured
    app; without it the command is for the only app, or for the one called `default`. For `deadline`
    and `app`, null means that the field is not given. `meeting_id` and `recording_id` become lower
    case, as the API writes them, because it may compare letter by letter.
    """

    id: Annotated[
        CommandId,
        Meta(
            description="The idempotency key: 1 to 128 characters without control characters. "
            "Choose it yourself. If in doubt, send the command again with the same id. The worker "
            "executes each id once. Every repeat gets the outcome of the first body, even if its "
            "own body differs. Without `id`, that of the CloudEvent counts, else the message's "
            "`message_id`. Put it into the body, because some libraries fill in a random "
            "`message_id`.",
            examples=["weekly-2026-01-01-start"],
        ),
    ] = ""
    deadline: Annotated[
        Deadline | None,
        Meta(
            description="The worker does not execute the command after this time, RFC 3339 "
            "with an offset. The outcome is then `expired`. Null and absent mean that there "
            "is no deadline.",
            examples=["2036-01-01T10:05:00Z"],
        ),
    ] = None
    app: Annotated[
        ProfileName | None,
        Meta(
            description="The name of the app, as it is configured on the worker. Null and "
            "absent mean the only app, or the one called `default`.",
            examples=["eu"],
        ),
    ] = None

    def __post_init__(self) -> None:
        for name in ("meeting_id", "recording_id"):
            given = getattr(self, name, None)
            if given and given != given.lower():
                msgspec.structs.force_setattr(self, name, given.lower())
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
