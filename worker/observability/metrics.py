"""The worker's metrics, in base units. No label can have an unbounded number of values."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, Status
from worker.budget.priorities import Priority
from worker.domain.outcomes import FINAL
from worker.observability.archive_metrics import ArchiveMetrics
from worker.observability.later_updates import LaterUpdates
from worker.observability.metric_factory import BoundedLabel, MetricFactory, known_or_other

_EVENT_NAMES: Final = frozenset(EVENT_TYPES.values())
_COMMAND_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_API_BUCKETS: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SWEEP_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_DELAY_BUCKETS: Final = (0.01, 0.1, 1, 3, 10, 30, 100, 300, 1000, 3600)
_BUDGET_BUCKETS: Final = (0.001, 0.01, 0.1, 1, 3, 10, 30, 100, 300)


class BudgetState(Protocol):
    """The figures of an API request budget that are exported."""

    def remaining(self) -> int | None:
        """How many requests are left; None before that is known."""

    def paused_for(self) -> float:
        """For how many seconds no request may be sent, except urgent ones."""


class Metrics(ArchiveMetrics):
    """All metrics of the worker, on the caller's registry. Times are in seconds.

    Values in memory are read at each scrape by a callback (`watch_…`). Values in the store are set
    every few seconds (`set_…`). Events are counted as they happen (`record_…`), those of every
    command together before the next scrape. The label sets that every command touches are cached,
    because there are few of them.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self._later = LaterUpdates(registry)
        ProcessCollector(registry=registry)
        new = MetricFactory(registry)
        new.gauge("build_info", "Always 1. The label is the running version.", "version").labels(
            version
        ).set(1)
        self._operations = BoundedLabel()
        self._outcomes = BoundedLabel()
        self._api_outcomes = BoundedLabel()
        self._reasons = BoundedLabel()
        self._create_command_metrics(new)
        self._create_api_metrics(new)
        self._create_event_metrics(new)
        self._create_recording_metrics(new)
        self._create_sweep_metrics(new)
        self._create_archive_metrics(new)
        self._create_replica_metrics(new)
        self._create_zero_series()

    def _create_command_metrics(self, new: MetricFactory) -> None:
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
                _DELAY_BUCKETS,
                "type",
            ).labels
        )
        self._outcome_delay = cache(
            new.histogram(
                "command_outcome_delay_seconds",
                "From sending, else from the first delivery, to the committed outcome.",
                _DELAY_BUCKETS,
                "type",
            ).labels
        )
        self._id_conflicts = new.counter(
            "command_id_conflicts",
            "Messages with the command id of another body. They are not executed.",
            "type",
        )

    def _create_api_metrics(self, new: MetricFactory) -> None:
        self._api_requests = cache(
            new.counter(
                "api_requests",
                "HTTP attempts of requests to the recording API, by outcome.",
                "operation",
                "outcome",
            ).labels
        )
        self._api_seconds = cache(
            new.histogram(
                "api_request_duration_seconds",
                "Duration of one HTTP attempt.",
                _API_BUCKETS,
                "operation",
            ).labels
        )
        self._api_retries = new.counter(
            "api_retries", "HTTP attempts after the first one of a request.", "operation"
        )
        self._unknown_statuses = new.counter(
            "api_unknown_statuses",
            "Recordings in answers and webhooks with an undocumented status.",
        )
        self._budget_left = new.gauge(
            "api_budget_left",
            "API requests that may be sent now, as of the last update.",
            "account",
        )
        self._budget_paused = new.gauge(
            "api_budget_paused_seconds",
            "How long only stops, or no requests, may be sent after the API throttled one.",
            "account",
        )
        self._budget_waited = cache(
            new.histogram(
                "api_budget_wait_seconds",
                "How long requests waited for the API request budget.",
                _BUDGET_BUCKETS,
                "priority",
            ).labels
        )
        self._budget_refused = new.counter(
            "api_budget_refusals",
            "Requests of commands that got no quota in time. Their commands are retried later.",
            "priority",
        )

    def _create_event_metrics(self, new: MetricFactory) -> None:
        self._published = cache(
            new.counter("events_published", "Messages that the broker confirmed.", "type").labels
        )
        self._publish_seconds = new.histogram(
            "event_publish_delay_seconds",
            "From an event's commit to the broker's confirmation.",
            _DELAY_BUCKETS,
        )
        self._dead = new.counter(
            "dead_letters",
            "Decisions to dead-letter a delivery. A message that is redelivered counts again.",
            "reason",
        )
        self._dead_refused = new.counter(
            "dead_letters_refused", "Messages that the full dead-letter queue refused."
        )
        self._outbox_events = new.gauge(
            "outbox_events", "Events that are committed but not yet published."
        )
        self._outbox_age = new.gauge(
            "outbox_oldest_age_seconds", "How long the oldest unpublished event has waited."
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
        self._deferred = new.counter(
            "events_deferred", "Failed publications that are retried later.", "reason"
        )
        self._set_aside = new.counter(
            "events_set_aside", "Events that the worker gave up publishing, by reason.", "reason"
        )
        self._replies_refused = new.counter(
            "replies_refused",
            "Replies that were not sent because their queue is not allowed, by reason.",
            "reason",
        )
        self._outbox_deferred = new.gauge(
            "outbox_deferred_events", "Events that wait after a failed publication."
        )
        self._outbox_set_aside = new.gauge(
            "outbox_set_aside_events", "Events that are set aside until an operator decides."
        )

    def _create_recording_metrics(self, new: MetricFactory) -> None:
        self._recordings = new.gauge("recordings", "Recordings that have not completed.", "status")
        self._unchanged = new.gauge(
            "recordings_oldest_unchanged_seconds",
            "Seconds since the last change of the longest unchanged recording.",
            "status",
        )
        self._overdue = new.gauge(
            "recordings_read_overdue_seconds",
            "Seconds since the most overdue scheduled read was due.",
        )
        self.set_parked({})
        self.set_recordings({})
        self.set_oldest({}, 0.0)

    def _create_sweep_metrics(self, new: MetricFactory) -> None:
        self._sweep_seconds = new.histogram(
            "sweep_duration_seconds",
            "Duration of a sweep, whether it completed or failed.",
            _SWEEP_BUCKETS,
        )
        self._sweep_failures = new.counter("sweep_failures", "Sweeps that failed.")
        self._swept_at = new.gauge(
            "sweep_last_success_timestamp_seconds",
            "When the app's last sweep completed, or this process started.",
            "app",
        )
        self._webhooks = new.counter("webhooks", "Answered webhooks, by verdict.", "verdict")

    def _create_replica_metrics(self, new: MetricFactory) -> None:
        self._in_flight = new.gauge("commands_in_flight", "Deliveries in progress.")
        self._circuit_open = new.gauge(
            "api_circuit_open", "1 while the circuit breaker of the app's API is open.", "app"
        )
        self._leader = new.gauge(
            "leader", "1 while this replica is the leader, which sweeps and relays."
        )
        self._ready = new.gauge(
            "ready", "1 while this check of the readiness probe passes, else 0.", "check"
        )

    def _create_zero_series(self) -> None:
        """Prometheus sees no increase in a series that begins with its first event."""
        for command_type in COMMAND_TYPES:
            for outcome in sorted(FINAL):
                self._completed(command_type, self._outcomes.of(outcome))
            self._id_conflicts.labels(command_type)
        for priority in Priority:
            self._budget_refused.labels(priority.name.lower())
        for reason in ("refused", "channel_lost"):
            self._deferred.labels(reason)
        for reason in ("channel_lost", "unsendable"):
            self._set_aside.labels(reason)
        for reason in ("pattern", "own_queue", "slow_pattern"):
            self._replies_refused.labels(reason)

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

    def record_api_request(
        self, operation: str, outcome: str, seconds: float, *, is_retry: bool = False
    ) -> None:
        """Record one HTTP attempt. `outcome` is a slug. `is_retry`: it is not the first attempt."""
        known = self._operations.of(operation)
        self._later.add(self._api_requests(known, self._api_outcomes.of(outcome)).inc)
        self._later.add(self._api_seconds(known).observe, seconds)
        if is_retry:
            self._api_retries.labels(known).inc()

    def record_unknown_status(self) -> None:
        """Count a recording whose status is not documented."""
        self._unknown_statuses.inc()

    def record_budget_wait(self, priority: Priority, seconds: float) -> None:
        """Record that a request got its token from the budget after this many seconds."""
        self._later.add(self._budget_waited(priority.name.lower()).observe, max(seconds, 0.0))

    def record_budget_refusal(self, priority: Priority) -> None:
        """Count a request for which the budget had no quota left in time."""
        self._budget_refused.labels(priority.name.lower()).inc()

    def record_event_published(self, event_type: str, delay: float) -> None:
        """Record an event that the broker confirmed `delay` seconds after its commit."""
        self._later.add(self._published(known_or_other(event_type, _EVENT_NAMES)).inc)
        self._later.add(self._publish_seconds.observe, max(delay, 0.0))

    def record_dead_letter(self, reason: str) -> None:
        """Count a decision to dead-letter a delivery. `reason` is its code."""
        self._dead.labels(self._reasons.of(reason)).inc()

    def record_dead_letter_refused(self) -> None:
        """Count a message that the full dead-letter queue refused. It is tried again later."""
        self._dead_refused.inc()

    def record_sweep(self, seconds: float, *, failed: bool = False) -> None:
        """Record a sweep that ended after `seconds`."""
        self._sweep_seconds.observe(seconds)
        if failed:
            self._sweep_failures.inc()

    def set_last_sweep(self, app: str, moment: float) -> None:
        """Set when the app's last sweep completed, in seconds since the epoch."""
        self._swept_at.labels(app).set(moment)

    def record_webhook(self, verdict: str) -> None:
        """Count an answered webhook. `verdict` is one of a few words, such as `taken`."""
        self._webhooks.labels(verdict).inc()

    def record_event_deferred(self, reason: str) -> None:
        """Count a publication that failed. `reason` is `refused` or `channel_lost`."""
        self._deferred.labels(reason).inc()

    def record_event_set_aside(self, reason: str) -> None:
        """Count an event that is not tried again. `reason` is `channel_lost` or `unsendable`."""
        self._set_aside.labels(reason).inc()

    def record_reply_refused(self, reason: str) -> None:
        """Count a reply that is not sent. `reason` is one of a `ReplyPolicy`."""
        self._replies_refused.labels(reason).inc()

    def set_outbox(
        self, events: int, oldest_age: float, *, deferred: int = 0, set_aside: int = 0
    ) -> None:
        """Set how many events wait to be published, and the age of the oldest; 0 if none waits.

        `deferred` of them wait because the broker did not take them. `set_aside` are not included.
        """
        self._outbox_events.set(events)
        self._outbox_age.set(oldest_age)
        self._outbox_deferred.set(deferred)
        self._outbox_set_aside.set(set_aside)

    def set_parked(self, parked: Mapping[str, tuple[int, float]]) -> None:
        """Set how many commands are parked, and the age of the oldest, by what they wait for."""
        for waits_for in ("session", "start"):
            commands, age = parked.get(waits_for, (0, 0.0))
            self._parked.labels(waits_for).set(commands)
            self._parked_age.labels(waits_for).set(max(age, 0.0))

    def set_recordings(self, by_status: Mapping[Status, int]) -> None:
        """Set the number of open recordings. A status that is missing has none."""
        for status in Status:
            self._recordings.labels(status.value).set(by_status.get(status, 0))

    def set_oldest(self, unchanged: Mapping[Status, float], overdue: float) -> None:
        """Set how long the longest unchanged recording of each live status has been unchanged, and
        since when the most overdue read has been due. A status that is missing has 0."""
        for status in Status:
            self._unchanged.labels(status.value).set(max(unchanged.get(status, 0.0), 0.0))
        self._overdue.set(max(overdue, 0.0))

    def watch_replica(self, *, in_flight: Callable[[], float], leads: Callable[[], bool]) -> None:
        """Call these at each scrape. They must not block."""
        self._in_flight.set_function(in_flight)
        self._leader.set_function(leads)

    def watch_checks(self, checks: Mapping[str, Callable[[], str | None]]) -> None:
        """Call these at each scrape; None means that the check passes. They must not block."""

        def answer(check: Callable[[], str | None]) -> Callable[[], float]:
            return lambda: float(check() is None)

        for name, check in checks.items():
            self._ready.labels(name).set_function(answer(check))

    def watch_budget(self, account: str, budget: BudgetState) -> None:
        """Read an account's budget at each scrape."""
        nothing_known = float("nan")
        self._budget_left.labels(account).set_function(
            lambda: nothing_known if (left := budget.remaining()) is None else left
        )
        self._budget_paused.labels(account).set_function(budget.paused_for)

    def watch_app(self, app: str, is_open: Callable[[], bool]) -> None:
        """Call `is_open` of the app's circuit breaker at each scrape. It must not block."""
        self._circuit_open.labels(app).set_function(is_open)
