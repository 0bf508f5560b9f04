"""The outcomes of commands, as the events that tell them. Pure."""

from datetime import UTC, datetime
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
)
from worker.domain.errors import Refused

CRASHED: Final = "crashed"
FINAL: Final = frozenset({"succeeded", "rejected", "expired", "failed"})
"""Outcomes by the name that `facts` gives them."""


def succeeded(command: Command, recording_ids: tuple[str, ...]) -> CommandSucceeded:
    """It was executed."""
    return CommandSucceeded(
        command_id=command.id, command_type=command.command_type, recording_ids=recording_ids
    )


def rejected(command: Command, refused: Refused) -> CommandRejected:
    """The API, or the worker in its stead, said no."""
    return CommandRejected(
        command_id=command.id,
        command_type=command.command_type,
        code=refused.code,
        message=refused.message,
        field=refused.field,
        http_status=refused.http_status,
    )


def of_another_app(recording_id: str, app: str, asked: str) -> Refused:
    """A command names a recording, or its start, and means an app that does not have it."""
    reason = f"recording {recording_id} is of app {app!r}, and the command is for {asked!r}"
    return Refused("wrong_app", reason, field="app")


def rejected_unread(command_id: str, malformed: Malformed) -> CommandRejected:
    """It was no command, but it had an id."""
    return CommandRejected(
        command_id=command_id,
        command_type=malformed.command_type,
        code=malformed.code,
        message=malformed.message,
        field=malformed.field,
        http_status=None,
    )


def expired(command: Command, attempts: int) -> CommandExpired:
    """Its deadline passed first."""
    return CommandExpired(
        command_id=command.id, command_type=command.command_type, attempts=attempts
    )


def failed(command: Command, attempts: int, last_error: ErrorInfo) -> CommandFailed:
    """The worker gave up."""
    return CommandFailed(
        command_id=command.id,
        command_type=command.command_type,
        attempts=attempts,
        last_error=last_error,
    )


def crashed(command: Command, attempts: int, crashes: int) -> CommandFailed:
    """It ended the process again and again: only a person can tell what to do with it."""
    reason = f"{crashes} attempts in a row ended with the worker process"
    return failed(command, attempts, ErrorInfo(code=CRASHED, message=reason))


def facts(outcome: Outcome) -> dict[str, object]:
    """What a log line says of an outcome."""
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


def utc(seconds: float) -> datetime:
    """Seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
