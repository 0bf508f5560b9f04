"""All metrics of the worker, in base units. No label can have an unbounded number of values."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector

from worker.observability.api_metrics import ApiMetrics
from worker.observability.archive_metrics import ArchiveMetrics
from worker.observability.command_metrics import CommandMetrics
from worker.observability.event_metrics import EventMetrics
from worker.observability.later_updates import LaterUpdates
from worker.observability.metric_factory import MetricFactory
from worker.observability.tracking_metrics import TrackingMetrics


class Metrics(CommandMetrics, ApiMetrics, EventMetrics, TrackingMetrics, ArchiveMetrics):
    """All metrics of the worker, on the caller's registry. Times are in seconds.

    Values in memory are read at each scrape by a callback (`watch_…`). Values in the store are set
    every few seconds (`set_…`). Events are counted as they happen (`record_…`), those of every
    command together before the next scrape. The label sets that every command touches are cached,
    because there are few of them. Each part creates the series whose labels are known, because
    Prometheus sees no increase in a series that begins with its first event.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self._later = LaterUpdates(registry)
        ProcessCollector(registry=registry)
        new = MetricFactory(registry)
        new.gauge("build_info", "Always 1. The label is the running version.", "version").labels(
            version
        ).set(1)
        self._create_command_metrics(new)
        self._create_api_metrics(new)
        self._create_event_metrics(new)
        self._create_tracking_metrics(new)
        self._create_archive_metrics(new)
        self._create_replica_metrics(new)

    def _create_replica_metrics(self, new: MetricFactory) -> None:
        self._in_flight = new.gauge("commands_in_flight", "Deliveries in progress.")
        self._leader = new.gauge(
            "leader", "1 while this replica is the leader, which sweeps and relays."
        )
        self._ready = new.gauge(
            "ready", "1 while this check of the readiness probe passes, else 0.", "check"
        )

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
