"""The outcomes of commands, as the data of the events that report them. Pure.

The message of an error ends with the address of the section about its code.
"""

from typing import Final

from recording_schemas import (
    Command,
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    ErrorInfo,
    Malformed,
    Outcome,
    with_error_section,
)
from worker.domain.command_keys import metadata_of
from worker.domain.errors import Refused

CRASHED: Final = "crashed"
"""The error code of a command that ended the worker process several times."""

CANCELLED: Final = "cancelled"
"""The error code of a start that a stop ended before the API executed it."""

DEAD_LETTERED: Final = "dead_lettered"
"""The error code of a command that the broker dead-lettered, except one that expired."""

FINAL: Final = frozenset({"succeeded", "rejected", "expired", "failed"})
"""The names that `log_fields` gives to outcomes."""


def succeeded(command: Command, recording_ids: tuple[str, ...]) -> CommandSucceeded:
    """The command was executed on these recordings."""
    return CommandSucceeded(
        command_id=command.id,
        command_type=command.command_type,
        recording_ids=recording_ids,
        metadata=metadata_of(command),
    )


def rejected(command: Command, refused: Refused) -> CommandRejected:
    """The API, or the worker before it asked the API, refused the command."""
    return CommandRejected(
        command_id=command.id,
        command_type=command.command_type,
        code=refused.code,
        message=with_error_section(refused.code, refused.message),
        field=refused.field,
        http_status=refused.http_status,
        metadata=metadata_of(command),
    )


def cancelled(
    command_id: str, command_type: str, stop_id: str, metadata: dict[str, str] | None
) -> CommandRejected:
    """A stop command ended the start before the API executed it."""
    reason = f"the stop command {stop_id!r} cancelled this start before it was executed"
    return CommandRejected(
        command_id=command_id,
        command_type=command_type,
        code=CANCELLED,
        message=with_error_section(CANCELLED, reason),
        field=None,
        http_status=None,
        metadata=metadata,
    )


def rejected_unread(command_id: str, malformed: Malformed) -> CommandRejected:
    """The message has an id but is not a valid command."""
    return CommandRejected(
        command_id=command_id,
        command_type=malformed.command_type,
        code=malformed.code,
        message=with_error_section(malformed.code, malformed.message),
        field=malformed.field,
        http_status=None,
        metadata=malformed.metadata,
    )


def out_of_time(
    command: Command, attempts: int, dead_letter_cause: str | None
) -> CommandExpired | CommandFailed:
    """The command may no longer be executed: its deadline passed, or the broker dead-lettered it
    for another reason."""
    if dead_letter_cause is None:
        return CommandExpired(
            command_id=command.id,
            command_type=command.command_type,
            attempts=attempts,
            metadata=metadata_of(command),
        )
    reason = f"the broker dead-lettered the command: {dead_letter_cause}"
    return failed(command, attempts, ErrorInfo(code=DEAD_LETTERED, message=reason))


def failed(command: Command, attempts: int, last_error: ErrorInfo) -> CommandFailed:
    """The worker gave up on the command."""
    return failed_command(
        command.id, command.command_type, attempts, last_error, metadata_of(command)
    )


def failed_command(
    command_id: str,
    command_type: str,
    attempts: int,
    last_error: ErrorInfo,
    metadata: dict[str, str] | None,
) -> CommandFailed:
    """The worker gave up on the command of this id."""
    message = with_error_section(last_error.code, last_error.message)
    return CommandFailed(
        command_id=command_id,
        command_type=command_type,
        attempts=attempts,
        last_error=ErrorInfo(code=last_error.code, message=message),
        metadata=metadata,
    )


def crashed(command: Command, attempts: int, crashes: int) -> CommandFailed:
    """The command ended the worker process `crashes` times in a row. A person must decide."""
    reason = f"{crashes} attempts in a row ended with the worker process"
    return failed(command, attempts, ErrorInfo(code=CRASHED, message=reason))


def wrong_app_error(recording_id: str, app: str, command_app: str) -> Refused:
    """The error of a command that is for `command_app`, although its recording belongs to `app`."""
    reason = f"recording {recording_id} is of app {app!r}, and the command is for {command_app!r}"
    return Refused("wrong_app", reason, field="app")


def log_fields(outcome: Outcome) -> dict[str, object]:
    """The fields of an outcome's log line."""
    name = type(outcome).__name__.removeprefix("Command").lower()
    match outcome:
        case CommandSucceeded():
            return {"outcome": name, "recording_ids": list(outcome.recording_ids)}
        case CommandRejected():
            return {"outcome": name, "code": outcome.code, "reason": outcome.message}
        case CommandExpired():
            return {"outcome": name, "attempts": outcome.attempts}
        case CommandFailed():
            return {
                "outcome": name,
                "attempts": outcome.attempts,
                "code": outcome.last_error.code,
                "reason": outcome.last_error.message,
            }
