"""What the worker counts, in base units, with labels that cannot grow without bound."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, Status
from worker.budget.priorities import Priority
from worker.domain.outcomes import FINAL

OTHER: Final = "other"
MOST_VALUES: Final = 60
_EVENT_NAMES: Final = frozenset(EVENT_TYPES.values())
_COMMAND_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_API_SECONDS: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SWEEP_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_WAITED_SECONDS: Final = (0.01, 0.1, 1, 3, 10, 30, 100, 300, 1000, 3600)
_LEAVE_SECONDS: Final = (0.001, 0.01, 0.1, 1, 3, 10, 30, 100, 300)


class BudgetState(Protocol):
    """The figures of an API request budget."""

    def remaining(self) -> int | None:
        """Requests that are left, None before that is known."""

    def paused_for(self) -> float:
        """Seconds for which nothing may be sent at all."""


class Metrics:
    """All metrics of the worker, on the caller's registry. Times are in seconds.

    Values in memory are read at each scrape by a callback (`watch_…`). Values in the store are set
    every few seconds (`set_…`). Events are counted as they happen (`record_…`). The label sets that
    every command touches are cached, because there are few of them.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"recording_worker_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"recording_worker_{name}", meaning, labels, registry=registry)

        def histogram(
            name: str, meaning: str, buckets: tuple[float, ...], *labels: str
        ) -> Histogram:
            full = f"recording_worker_{name}"
            return Histogram(full, meaning, labels, registry=registry, buckets=buckets)

        ProcessCollector(registry=registry)
        gauge("build_info", "Always 1; the label says which version runs.", "version").labels(
            version
        ).set(1)
        self._received = cache(
            counter("commands_received", "Deliveries taken from the queue.", "type").labels
        )
        self._completed = cache(
            counter(
                "commands_completed",
                "Deliveries settled, by what became of them.",
                "type",
                "outcome",
            ).labels
        )
        self._command_seconds = cache(
            histogram(
                "command_duration_seconds", "From delivery to settlement.", _COMMAND_SECONDS, "type"
            ).labels
        )
        self._queue_seconds = cache(
            histogram(
                "command_queue_seconds",
                "From sending to the first delivery, of commands that say when they were sent.",
                _WAITED_SECONDS,
                "type",
            ).labels
        )
        self._outcome_delay = cache(
            histogram(
                "command_outcome_delay_seconds",
                "From sending (else from the first delivery) to the committed outcome.",
                _WAITED_SECONDS,
                "type",
            ).labels
        )
        self._api_requests = cache(
            counter(
                "api_requests", "Requests to the recording API, each try.", "operation", "outcome"
            ).labels
        )
        self._api_seconds = cache(
            histogram(
                "api_request_duration_seconds", "One try of a request.", _API_SECONDS, "operation"
            ).labels
        )
        self._api_retries = counter(
            "api_retries", "Tries of a request beyond its first one.", "operation"
        )
        self._budget_left = gauge(
            "api_budget_left", "API requests that may be sent now, as of the last look.", "account"
        )
        self._budget_paused = gauge(
            "api_budget_paused_seconds",
            "For how much longer no request may be sent, because the API said so.",
            "account",
        )
        self._budget_waited = cache(
            histogram(
                "api_budget_wait_seconds",
                "How long requests waited for the API request budget.",
                _LEAVE_SECONDS,
                "priority",
            ).labels
        )
        self._budget_refused = counter(
            "api_budget_refusals",
            "Requests of commands that found no quota left in time and are tried again later.",
            "priority",
        )
        self._published = cache(
            counter("events_published", "Messages the broker confirmed.", "type").labels
        )
        self._publish_seconds = histogram(
            "event_publish_delay_seconds",
            "From an event's commit to the broker's confirmation.",
            _WAITED_SECONDS,
        )
        self._dead = counter("dead_letters", "Messages sent to the dead-letter queue.", "reason")
        self._outbox_events = gauge("outbox_events", "Committed and not yet published.")
        self._outbox_age = gauge("outbox_oldest_age_seconds", "How long the oldest has waited.")
        self._recordings = gauge("recordings", "Recordings that are followed.", "status")
        self._unchanged = gauge(
            "recordings_oldest_unchanged_seconds",
            "How long the recording has been unchanged that has been so the longest.",
            "status",
        )
        self._overdue = gauge(
            "recordings_read_overdue_seconds",
            "How long the recording has been due for a look of its own that has been so longest.",
        )
        self._sweep_seconds = histogram("sweep_duration_seconds", "One sweep.", _SWEEP_SECONDS)
        self._sweep_failures = counter("sweep_failures", "Sweeps that did not get through.")
        self._swept_at = gauge(
            "sweep_last_success_timestamp_seconds",
            "When the last sweep of the app got through, or this process began.",
            "app",
        )
        self._webhooks = counter("webhooks", "Webhooks, by what became of them.", "verdict")
        self._in_flight = gauge("commands_in_flight", "Deliveries in work.")
        self._circuit_open = gauge(
            "api_circuit_open", "1 while the circuit breaker of the app's API is open.", "app"
        )
        self._leads = gauge("leader", "1 while this replica sweeps and relays.")
        self._well = gauge(
            "ready", "1 while this check of the readiness probe is well, else 0.", "check"
        )
        self._operations = _Bounded()
        self._outcomes = _Bounded()
        self._answers = _Bounded()
        self._reasons = _Bounded()
        self.set_recordings({})
        self.set_oldest({}, 0.0)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A counter that begins with its first event is not seen to increase by it."""
        for command_type in COMMAND_TYPES:
            for outcome in sorted(FINAL):
                self._completed(command_type, self._outcomes.of(outcome))
        for priority in Priority:
            self._budget_refused.labels(priority.name.lower())

    def record_command_received(self, command_type: str) -> None:
        """A delivery was taken. What is no command at all is of the type `other`."""
        self._received(_known(command_type, COMMAND_TYPES)).inc()

    def record_command_completed(self, command_type: str, outcome: str, seconds: float) -> None:
        """A delivery was settled. `outcome` is a slug such as `succeeded` or `retry`."""
        known = _known(command_type, COMMAND_TYPES)
        self._completed(known, self._outcomes.of(outcome)).inc()
        self._command_seconds(known).observe(seconds)

    def record_queue_delay(self, command_type: str, seconds: float) -> None:
        """A command was delivered for the first time, so long after it was sent."""
        self._queue_seconds(_known(command_type, COMMAND_TYPES)).observe(max(seconds, 0.0))

    def record_outcome_delay(self, command_type: str, seconds: float) -> None:
        """A command has its final outcome, so long after it was sent or first seen."""
        known = _known(command_type, COMMAND_TYPES)
        self._outcome_delay(known).observe(max(seconds, 0.0))

    def record_api_request(
        self, operation: str, outcome: str, seconds: float, *, again: bool = False
    ) -> None:
        """One try of an API request ended, well or as the error `outcome` (a slug)."""
        known = self._operations.of(operation)
        self._api_requests(known, self._answers.of(outcome)).inc()
        self._api_seconds(known).observe(seconds)
        if again:
            self._api_retries.labels(known).inc()

    def record_budget_wait(self, priority: Priority, seconds: float) -> None:
        """A request got its token from the budget after so many seconds."""
        self._budget_waited(priority.name.lower()).observe(max(seconds, 0.0))

    def record_budget_refusal(self, priority: Priority) -> None:
        """The budget had no quota left for a request in time."""
        self._budget_refused.labels(priority.name.lower()).inc()

    def record_event_published(self, event_type: str, delay: float) -> None:
        """The broker confirmed an event, so long after it was committed."""
        self._published(_known(event_type, _EVENT_NAMES)).inc()
        self._publish_seconds.observe(max(delay, 0.0))

    def record_dead_letter(self, reason: str) -> None:
        """A message went to the dead-letter queue. `reason` is its code."""
        self._dead.labels(self._reasons.of(reason)).inc()

    def record_sweep(self, seconds: float, *, failed: bool = False) -> None:
        """A sweep ended."""
        self._sweep_seconds.observe(seconds)
        if failed:
            self._sweep_failures.inc()

    def set_last_sweep(self, app: str, moment: float) -> None:
        """A sweep of the app got through that ended at that time, seconds since the epoch."""
        self._swept_at.labels(app).set(moment)

    def record_webhook(self, verdict: str) -> None:
        """A webhook was answered. `verdict` is one of a few words, such as `taken`."""
        self._webhooks.labels(verdict).inc()

    def set_outbox(self, events: int, oldest_age: float) -> None:
        """How much waits to be published, and for how long; 0 when nothing waits."""
        self._outbox_events.set(events)
        self._outbox_age.set(oldest_age)

    def set_recordings(self, by_status: Mapping[Status, int]) -> None:
        """How many recordings are followed; a status that is not named has none."""
        for status in Status:
            self._recordings.labels(status.value).set(by_status.get(status, 0))

    def set_oldest(self, unchanged: Mapping[Status, float], overdue: float) -> None:
        """For how long (seconds) the longest unchanged recording of each live status has been so,
        and the most overdue look has been due; a status that is not named has none."""
        for status in Status:
            self._unchanged.labels(status.value).set(max(unchanged.get(status, 0.0), 0.0))
        self._overdue.set(max(overdue, 0.0))

    def watch_replica(self, *, in_flight: Callable[[], float], leads: Callable[[], bool]) -> None:
        """Ask these at each scrape. They must not block."""
        self._in_flight.set_function(in_flight)
        self._leads.set_function(leads)

    def watch_checks(self, checks: Mapping[str, Callable[[], str | None]]) -> None:
        """Ask these at each scrape, None being well. They must not block."""

        def answer(check: Callable[[], str | None]) -> Callable[[], float]:
            return lambda: float(check() is None)

        for name, check in checks.items():
            self._well.labels(name).set_function(answer(check))

    def watch_budget(self, account: str, budget: BudgetState) -> None:
        """Ask this about an account's budget at each scrape."""
        nothing_known = float("nan")
        self._budget_left.labels(account).set_function(
            lambda: nothing_known if (left := budget.remaining()) is None else left
        )
        self._budget_paused.labels(account).set_function(budget.paused_for)

    def watch_app(self, app: str, is_open: Callable[[], bool]) -> None:
        """Call `is_open` of the app's circuit breaker at each scrape. It must not block."""
        self._circuit_open.labels(app).set_function(is_open)


def _known(value: str, known: Collection[str]) -> str:
    return value if value in known else OTHER


class _Bounded:
    """Lets the first few values through and calls the rest `other`: one label's share of series."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def of(self, value: str) -> str:
        if value not in self._seen and len(self._seen) >= MOST_VALUES:
            return OTHER
        self._seen.add(value)
        return value
