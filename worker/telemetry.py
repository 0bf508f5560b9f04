"""What the worker counts, in base units, with labels that cannot grow without bound."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, Status

OTHER: Final = "other"
MOST_VALUES: Final = 60
_EVENT_NAMES: Final = frozenset(EVENT_TYPES.values())
_COMMAND_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_API_SECONDS: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SWEEP_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """All of it, on a registry of the caller's. Every method takes plain values, in seconds.

    Gauges whose value lies in memory are read by a callback at each scrape (`watch`); those whose
    value lies in the store are told from time to time (`outbox`, `recordings`).
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
        self._received = counter("commands_received", "Deliveries taken from the queue.", "type")
        self._settled = counter(
            "commands_settled", "Deliveries settled, by what became of them.", "type", "outcome"
        )
        self._command_seconds = histogram(
            "command_duration_seconds", "From delivery to settlement.", _COMMAND_SECONDS, "type"
        )
        self._api_requests = counter(
            "api_requests", "Requests to the recording API, each try.", "operation", "outcome"
        )
        self._api_seconds = histogram(
            "api_request_duration_seconds", "One try of a request.", _API_SECONDS, "operation"
        )
        self._published = counter("events_published", "Messages the broker confirmed.", "type")
        self._dead = counter("dead_letters", "Messages sent to the dead-letter queue.", "reason")
        self._outbox_events = gauge("outbox_events", "Committed and not yet published.")
        self._outbox_age = gauge("outbox_oldest_age_seconds", "How long the oldest has waited.")
        self._recordings = gauge("recordings", "Recordings that are followed.", "status")
        self._sweep_seconds = histogram("sweep_duration_seconds", "One sweep.", _SWEEP_SECONDS)
        self._sweep_failures = counter("sweep_failures", "Sweeps that did not get through.")
        self._webhooks = counter("webhooks", "Webhooks, by what became of them.", "verdict")
        self._in_flight = gauge("commands_in_flight", "Deliveries in work.")
        self._away = gauge("api_away", "1 while the app's API is away.", "app")
        self._leads = gauge("leader", "1 while this replica sweeps and relays.")
        self._operations = _Bounded()
        self._outcomes = _Bounded()
        self._answers = _Bounded()
        self._reasons = _Bounded()
        self.recordings({})

    def command_received(self, command_type: str) -> None:
        """A delivery was taken. What is no command at all is of the type `other`."""
        self._received.labels(_known(command_type, COMMAND_TYPES)).inc()

    def command_settled(self, command_type: str, outcome: str, seconds: float) -> None:
        """A delivery was settled. `outcome` is a slug such as `succeeded` or `retry`."""
        known = _known(command_type, COMMAND_TYPES)
        self._settled.labels(known, self._outcomes.of(outcome)).inc()
        self._command_seconds.labels(known).observe(seconds)

    def api_request(self, operation: str, outcome: str, seconds: float) -> None:
        """One try of an API request ended, well or as the error `outcome` (a slug)."""
        known = self._operations.of(operation)
        self._api_requests.labels(known, self._answers.of(outcome)).inc()
        self._api_seconds.labels(known).observe(seconds)

    def published(self, event_type: str) -> None:
        """The broker confirmed an event."""
        self._published.labels(_known(event_type, _EVENT_NAMES)).inc()

    def dead_lettered(self, reason: str) -> None:
        """A message went to the dead-letter queue. `reason` is its code."""
        self._dead.labels(self._reasons.of(reason)).inc()

    def swept(self, seconds: float, *, failed: bool = False) -> None:
        """A sweep ended."""
        self._sweep_seconds.observe(seconds)
        if failed:
            self._sweep_failures.inc()

    def webhook(self, verdict: str) -> None:
        """A webhook was answered. `verdict` is one of a few words, such as `taken`."""
        self._webhooks.labels(verdict).inc()

    def outbox(self, events: int, oldest_age: float) -> None:
        """How much waits to be published, and for how long; 0 when nothing waits."""
        self._outbox_events.set(events)
        self._outbox_age.set(oldest_age)

    def recordings(self, by_status: Mapping[Status, int]) -> None:
        """How many recordings are followed; a status that is not named has none."""
        for status in Status:
            self._recordings.labels(status.value).set(by_status.get(status, 0))

    def watch(self, *, in_flight: Callable[[], float], leads: Callable[[], bool]) -> None:
        """Ask these at each scrape. They must not block."""
        self._in_flight.set_function(in_flight)
        self._leads.set_function(leads)

    def watch_app(self, app: str, away: Callable[[], bool]) -> None:
        """Ask this about a configured app at each scrape. It must not block."""
        self._away.labels(app).set_function(away)


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
