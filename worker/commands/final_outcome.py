"""The outcome of a command that ends. Pure."""

from typing import Final

import msgspec

from recording_schemas import Command, ErrorInfo, Outcome
from worker.broker.deaths import EXPIRED, explanation
from worker.commands.limits import Limit
from worker.commands.operations.context import OperationResult
from worker.domain import outcomes
from worker.domain.command_keys import metadata_of
from worker.domain.errors import NotYet, OutcomeUnknown, Refused, Unavailable
from worker.store.claims import ClaimResult, LostCommand

NEVER_ATTEMPTED: Final = ErrorInfo(code="too_old", message="it was not attempted in time")
NEVER_CAME_BACK: Final = ErrorInfo(code="too_old", message="its message did not return in time")

START_UNCONFIRMED: Final = "start_unconfirmed"
"""The code of a start that ends although the API may have executed it. Other codes permit another
start, which may record the meeting twice."""

AttemptEnd = OperationResult | Refused | NotYet | Unavailable | OutcomeUnknown


def final_outcome(
    command: Command,
    claim: ClaimResult,
    attempt_end: AttemptEnd | None,
    limit: Limit,
    acted_on: tuple[str, ...],
    dead_reason: str | None,
) -> Outcome:
    """The outcome of a command that ends with this attempt, or without one."""
    match attempt_end:
        case OperationResult():
            return outcomes.succeeded(command, acted_on)
        case Refused():
            return outcomes.rejected(command, attempt_end)
        case NotYet():
            return outcomes.failed(command, claim.attempts, reason_of(attempt_end))
    earlier_attempts = claim.attempts - 1
    if limit is Limit.CRASHES:
        return outcomes.crashed(command, earlier_attempts, claim.crashes)
    if limit is Limit.CANCELLED and claim.cancelled_by:
        return outcomes.cancelled(
            command.id, command.command_type, claim.cancelled_by, metadata_of(command)
        )
    if limit is Limit.DEADLINE:
        return outcomes.out_of_time(command, earlier_attempts, _dead_letter_cause(dead_reason))
    if attempt_end is None:
        return outcomes.failed(
            command, earlier_attempts, last_error_of(claim.last_error, NEVER_ATTEMPTED)
        )
    return outcomes.failed(command, claim.attempts, reason_of(attempt_end))


def _dead_letter_cause(dead_reason: str | None) -> str | None:
    """The text of the broker's reason to dead-letter the command. None if its time passed."""
    return None if dead_reason in {None, EXPIRED} else explanation(str(dead_reason))


def reason_of(failure: NotYet | Unavailable | OutcomeUnknown) -> ErrorInfo:
    """The failure in the form that events have."""
    return ErrorInfo(code=failure.code, message=failure.message)


def unconfirmed_text(last_message: str) -> str:
    """The message with `START_UNCONFIRMED`, if the last error was another one."""
    return f"the API may have executed the start; last error: {last_message}"


def last_error_of(stored: str | None, default: ErrorInfo) -> ErrorInfo:
    """The stored error of the last attempt. The default if no attempt has left one."""
    return default if stored is None else msgspec.json.decode(stored, type=ErrorInfo)


def outcome_of_lost(lost: LostCommand) -> Outcome:
    """The outcome of a command whose message is lost: that of its age, or of a stop that
    cancelled it."""
    command_id, metadata = lost.command_id, lost.reply.metadata
    if lost.cancelled_by:
        return outcomes.cancelled(command_id, lost.command_type, lost.cancelled_by, metadata)
    last_error = last_error_of(lost.last_error, NEVER_CAME_BACK)
    if lost.may_have_called and last_error.code != START_UNCONFIRMED:
        last_error = ErrorInfo(code=START_UNCONFIRMED, message=unconfirmed_text(last_error.message))
    return outcomes.failed_command(
        command_id, lost.command_type, lost.attempts, last_error, metadata
    )
