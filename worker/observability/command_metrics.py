"""The metrics of commands: received, settled, parked and dead-lettered."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from recording_schemas import COMMAND_TYPES
from worker.domain.outcomes import FINAL
from worker.observability.later_updates import LaterUpdates
from worker.observability.metric_factory import (
    DELAY_BUCKETS,
    BoundedLabel,
    MetricFactory,
    known_or_other,
)

_COMMAND_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class CommandMetrics:
    """The part of `Metrics` that concerns commands. Times are in seconds."""

    _later: LaterUpdates

    def _create_command_metrics(self, new: MetricFactory) -> None:
        self._outcomes = BoundedLabel()
        self._dead_reasons = BoundedLabel()
        self._received = cache(
            new.counter("commands_received", "Deliveries received from the queue.", "type").labels
        )
        self._completed = cache(
            new.counter(
                "commands_completed",
                "Settled deliveries, by outcome.",
                "type",
                "outcome",
            ).labels
        )
        self._command_seconds = cache(
            new.histogram(
                "command_duration_seconds", "From delivery to settlement.", _COMMAND_BUCKETS, "type"
            ).labels
        )
        self._queue_seconds = cache(
            new.histogram(
                "command_queue_seconds",
                "From sending to the first delivery, for commands with a time of sending.",
                DELAY_BUCKETS,
                "type",
            ).labels
        )
        self._outcome_delay = cache(
            new.histogram(
                "command_outcome_delay_seconds",
                "From sending, else from the first delivery, to the committed outcome.",
                DELAY_BUCKETS,
                "type",
            ).labels
        )
        self._id_conflicts = new.counter(
            "command_id_conflicts",
            "Messages with the command id of another body. They are not executed.",
            "type",
        )
        self._parked = new.gauge(
            "parked_commands",
            "Commands that wait in the store for a `session` or a `start`.",
            "waits_for",
        )
        self._parked_age = new.gauge(
            "parked_oldest_age_seconds",
            "How long the oldest parked command has waited.",
            "waits_for",
        )
        self._dead = new.counter(
            "dead_letters",
            "Decisions to dead-letter a delivery. A message that is redelivered counts again.",
            "reason",
        )
        self._dead_refused = new.counter(
            "dead_letters_refused", "Messages that the full dead-letter queue refused."
        )
        self.set_parked({})
        for command_type in COMMAND_TYPES:
            for outcome in sorted(FINAL):
                self._completed(command_type, self._outcomes.of(outcome))
            self._id_conflicts.labels(command_type)

    def record_command_received(self, command_type: str) -> None:
        """Count a delivery. A message that is no command has the type `other`."""
        self._later.add(self._received(known_or_other(command_type, COMMAND_TYPES)).inc)

    def record_command_completed(self, command_type: str, outcome: str, seconds: float) -> None:
        """Count a settled delivery. `outcome` is a slug such as `succeeded` or `retry`."""
        known = known_or_other(command_type, COMMAND_TYPES)
        self._later.add(self._completed(known, self._outcomes.of(outcome)).inc)
        self._later.add(self._command_seconds(known).observe, seconds)

    def record_id_conflict(self, command_type: str) -> None:
        """Count a message that has the command id of another body."""
        self._id_conflicts.labels(known_or_other(command_type, COMMAND_TYPES)).inc()

    def record_queue_delay(self, command_type: str, seconds: float) -> None:
        """Record how long after sending a command was delivered for the first time."""
        known = known_or_other(command_type, COMMAND_TYPES)
        self._later.add(self._queue_seconds(known).observe, max(seconds, 0.0))

    def record_outcome_delay(self, command_type: str, seconds: float) -> None:
        """Record how long after sending, or the first delivery, a command had its final outcome."""
        known = known_or_other(command_type, COMMAND_TYPES)
        self._later.add(self._outcome_delay(known).observe, max(seconds, 0.0))

    def set_parked(self, parked: Mapping[str, tuple[int, float]]) -> None:
        """Set how many commands are parked, and the age of the oldest, by what they wait for."""
        for waits_for in ("session", "start"):
            commands, age = parked.get(waits_for, (0, 0.0))
            self._parked.labels(waits_for).set(commands)
            self._parked_age.labels(waits_for).set(max(age, 0.0))

    def record_dead_letter(self, reason: str) -> None:
        """Count a decision to dead-letter a delivery. `reason` is its code."""
        self._dead.labels(self._dead_reasons.of(reason)).inc()

    def record_dead_letter_refused(self) -> None:
        """Count a message that the full dead-letter queue refused. It is tried again later."""
        self._dead_refused.inc()
