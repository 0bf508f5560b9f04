"""How long a command may live, and when it is tried again. Pure."""

from typing import Final

import msgspec

from recording_schemas import Command, ErrorInfo, Outcome
from worker.domain import outcomes
from worker.domain.outcomes import utc
from worker.store.inbox import Claimed

LONGEST_WAIT: Final = 120.0
"""A command that waits for its app's API is looked at again at least this often, in seconds."""

NEVER_ATTEMPTED: Final = ErrorInfo(code="too_old", message="it was not attempted in time")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds, and how large a command may be, in bytes.

    A command is given up `max_age` after it was first seen; one that comes too early waits for
    `stop_wait`. `settle` is how long a call whose answer was lost may take to come to light,
    `lease` how long a claim keeps others out. `retry_delays` are the steps of the retry queues.
    """

    max_command_bytes: int
    max_age: float
    stop_wait: float
    settle: float
    lease: float
    retry_delays: tuple[float, ...]

    def too_late(self, command: Command, claimed: Claimed, now: float) -> Outcome | None:
        """The outcome that time alone gives the command by now, if any."""
        before = claimed.attempts - 1
        if is_past(command, now):
            return outcomes.expired(command, before)
        if now - claimed.first_seen_at >= self.max_age:
            return outcomes.failed(command, before, _last_error(claimed))
        return None

    def delay(
        self, command: Command, claimed: Claimed, now: float, *, asked: float | None
    ) -> float:
        """Seconds until the next attempt, one of the steps: this attempt's, or the first one that
        is as long as the API asked for.

        No longer than the command may live, so that its end is told in time.
        """
        steps = self.retry_delays
        step = steps[min(claimed.attempts, len(steps)) - 1]
        if asked is not None and asked > step:
            step = min((one for one in steps if one >= asked), default=steps[-1])
        left = claimed.first_seen_at + self.max_age - now
        if command.deadline is not None:
            left = min(left, command.deadline.timestamp() - now)
        return max((one for one in steps if one <= min(step, left)), default=steps[0])

    def wait(
        self, command: Command, first_seen: float | None, now: float, *, asked: float
    ) -> float:
        """Seconds until a command that was not even claimed is looked at again: the last of the
        steps that is neither longer than asked nor than the command may live.
        """
        ends = [LONGEST_WAIT + now, asked + now]
        if first_seen is not None:
            ends.append(first_seen + self.max_age)
        if command.deadline is not None:
            ends.append(command.deadline.timestamp())
        left = min(ends) - now
        return max((one for one in self.retry_delays if one <= left), default=self.retry_delays[0])


def is_past(command: Command, now: float) -> bool:
    """Whether the command's deadline has passed."""
    return command.deadline is not None and utc(now) >= command.deadline


def _last_error(claimed: Claimed) -> ErrorInfo:
    if claimed.last_error is None:
        return NEVER_ATTEMPTED
    return msgspec.json.decode(claimed.last_error, type=ErrorInfo)
