"""Updates of metrics that are made together, at the next scrape or when many wait.

A histogram makes seven calls and takes two locks for each value. A command has about ten values.
Between commands the processor's caches grow cold, and many updates in a row share warm ones.
"""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

MAX_WAITING: Final = 250
"""The limit of waiting updates. They take less than a millisecond."""

Update = Callable[[float], None]
"""For example the `inc` of a counter or the `observe` of a histogram."""


class LaterUpdates(Collector):
    """Keeps updates until a scrape. Create it before the metrics: a registry collects in order.

    Used on the event loop alone, where scrapes are answered, too.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting: list[tuple[Update, float]] = []
        registry.register(self)

    def add(self, update: Update, value: float = 1.0) -> None:
        """Call `update` with the value before the next scrape."""
        self._waiting.append((update, value))
        if len(self._waiting) >= MAX_WAITING:
            self._make()

    def collect(self) -> Iterable[Metric]:
        """Make all updates. There is no metric here."""
        self._make()
        return ()

    def describe(self) -> Iterable[Metric]:
        """No metric. Without this, the registry might call `collect` while it registers."""
        return ()

    def _make(self) -> None:
        waiting, self._waiting = self._waiting, []
        for update, value in waiting:
            update(value)
