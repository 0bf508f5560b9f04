"""How long a command may live, and how long it waits before the next attempt. Pure."""

from typing import Final

import msgspec

from recording_schemas import Command
from worker.domain.times import utc

MAX_POSTPONE_SECONDS: Final = 120.0
"""A command that waits for its app's API is delivered again at least this often."""

MAX_RECHECK_SECONDS: Final = 30.0
"""A start with secrets begins at most this long after its session. A message with the id of
another body is answered at most this long after that body's outcome. A recording that the API
lists, but did not find, is stopped at most this long after the API finds it."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The time limits of commands, in seconds.

    max_age       a command ends as failed this long after it was first seen
    stop_wait     a command that came too early waits this long, unless it has a deadline
    session_wait  a start that waits for its meeting's session waits this long in total
    reconcile     a start may call again this long after a call without an answer
    lease         a claim excludes other replicas for this long
    retry_delays  the steps of the retry queues, in ascending order
    """

    max_age: float
    stop_wait: float
    session_wait: float = 86_400.0
    reconcile: float
    lease: float
    retry_delays: tuple[float, ...]

    @property
    def shortest_delay(self) -> float:
        """The first step of the retry queues."""
        return self.retry_delays[0]

    def is_too_old(self, first_seen: float | None, now: float) -> bool:
        """Whether a command first seen then has reached its maximum age."""
        return first_seen is not None and now - first_seen >= self.max_age

    def last_execution(self, first_call: float) -> float:
        """Until when the API may execute a call of a start that first called then, in epoch
        seconds. Unlike the time of arrival, that time moves with a jump of the machine's clock."""
        return first_call + self.max_age + self.reconcile

    def is_stop_wait_over(self, command: Command, first_seen: float, now: float) -> bool:
        """Whether a command that came too early may not wait any longer. A command with a deadline
        may always wait, because `limit_of` ends it at its deadline."""
        return command.deadline is None and now - first_seen >= self.stop_wait

    def is_session_wait_over(self, since: float | None, now: float) -> bool:
        """Whether a start that has waited for its session since then may not wait any longer."""
        return since is not None and now - since >= self.session_wait

    def session_wait_end(self, command: Command, since: float) -> float:
        """When a start ends that has waited for its session since then, in epoch seconds."""
        end = since + self.session_wait
        return end if command.deadline is None else min(end, command.deadline.timestamp())

    def recheck_parked(self, remaining: float) -> float:
        """Seconds until the next delivery of a parked command whose message is in the retry
        queues."""
        return self._longest_step(min(MAX_RECHECK_SECONDS, remaining))

    def recheck_conflict(self, first_seen: float | None, now: float) -> float:
        """Seconds until the next check whether another body with the same id has its outcome.

        The step is at most as long as the time waited so far, so that short waits end soon.
        """
        waited = 0.0 if first_seen is None else now - first_seen
        return self._longest_step(min(MAX_RECHECK_SECONDS, waited))

    def backoff(
        self,
        command: Command,
        *,
        attempts: int,
        first_seen: float,
        now: float,
        requested_pause: float | None,
    ) -> float:
        """Seconds until the next attempt, always one of the steps.

        The step grows with the attempts. If the API asked for a longer pause, this is the first
        step of at least that length. No step is longer than the command's remaining time, so that
        its outcome is published in time.
        """
        steps = self.retry_delays
        step = steps[min(attempts, len(steps)) - 1]
        if requested_pause is not None and requested_pause > step:
            step = min((longer for longer in steps if longer >= requested_pause), default=steps[-1])
        return self._longest_step(min(step, self._remaining(command, first_seen, now)))

    def wait_for_start(
        self, command: Command, *, attempts: int, first_seen: float, now: float
    ) -> float:
        """Seconds until the next attempt of a command whose start has not arrived.

        The step grows from the third attempt on. Otherwise thousands of such commands would delay
        others again and again. No step is longer than the time that the command may wait.
        """
        step = self.retry_delays[max(min(attempts - 1, len(self.retry_delays)) - 1, 0)]
        return self._longest_step(min(step, self._stop_wait_end(command, first_seen) - now))

    def recheck_contradiction(self, command: Command, *, first_seen: float, now: float) -> float:
        """Seconds until the next attempt at a recording that the API lists, but does not find.

        The API may find a new recording within seconds. Later, each attempt costs a list and two
        requests for each such recording, and stops go before all other requests.
        """
        remaining = self._stop_wait_end(command, first_seen) - now
        return self._longest_step(min(MAX_RECHECK_SECONDS, now - first_seen, remaining))

    def _stop_wait_end(self, command: Command, first_seen: float) -> float:
        deadline = command.deadline
        return first_seen + self.stop_wait if deadline is None else deadline.timestamp()

    def postpone(
        self, command: Command, first_seen: float | None, now: float, *, requested_pause: float
    ) -> float:
        """Seconds until a command that was not attempted is delivered again.

        This is the longest step within `requested_pause`, `MAX_POSTPONE_SECONDS`, and the command's
        remaining time.
        """
        remaining = self._remaining(command, first_seen, now)
        return self._longest_step(min(requested_pause, MAX_POSTPONE_SECONDS, remaining))

    def _remaining(self, command: Command, first_seen: float | None, now: float) -> float:
        limits = [float("inf")]
        if first_seen is not None:
            limits.append(first_seen + self.max_age - now)
        if command.deadline is not None:
            limits.append(command.deadline.timestamp() - now)
        return min(limits)

    def _longest_step(self, seconds: float) -> float:
        within = (step for step in self.retry_delays if step <= seconds)
        return max(within, default=self.shortest_delay)


def is_past_deadline(command: Command, now: float) -> bool:
    """Whether the command has a deadline and it has passed."""
    return command.deadline is not None and utc(now) >= command.deadline
