"""The limits that end a command before it has succeeded. Pure."""

from enum import Enum, auto
from typing import Final

from recording_schemas import Command
from worker.commands.retry_policy import RetryPolicy, is_past_deadline
from worker.store.claims import ClaimResult

MAX_CRASHES: Final = 5
"""After this many attempts in a row during which the process died, the command counts as the
cause."""


class Limit(Enum):
    """The limit that a command has reached."""

    NONE = auto()
    CRASHES = auto()
    CANCELLED = auto()
    DEADLINE = auto()
    AGE = auto()


def limit_of(command: Command, claim: ClaimResult, now: float, policy: RetryPolicy) -> Limit:
    """The limit that the claimed command has reached.

    If there are several, crashes count first, then a cancellation, the deadline, and the age.
    """
    if claim.crashes >= MAX_CRASHES:
        return Limit.CRASHES
    if claim.cancelled_by:
        return Limit.CANCELLED
    if is_past_deadline(command, now):
        return Limit.DEADLINE
    return Limit.AGE if policy.is_too_old(claim.age_from, now) else Limit.NONE
