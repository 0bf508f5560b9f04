"""Creates metrics with bounded labels."""

from collections.abc import Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OTHER: Final = "other"
MAX_LABEL_VALUES: Final = 60
DELAY_BUCKETS: Final = (0.01, 0.1, 1, 3, 10, 30, 100, 300, 1000, 3600)
"""The bounds of delays that may last for an hour, in seconds."""


class MetricFactory:
    """Creates metrics on one registry, all with the worker's prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """A counter; Prometheus shows its name with `_total`."""
        return Counter(f"recording_worker_{name}", meaning, labels, registry=self._registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """A gauge."""
        return Gauge(f"recording_worker_{name}", meaning, labels, registry=self._registry)

    def histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        """A histogram with the given upper bounds of its buckets."""
        full_name = f"recording_worker_{name}"
        return Histogram(full_name, meaning, labels, registry=self._registry, buckets=buckets)


def known_or_other(value: str, known: Collection[str]) -> str:
    """The value if it is one of the known ones, else `other`."""
    return value if value in known else OTHER


class BoundedLabel:
    """Bounds a label: the first values are passed through, all further ones become `other`."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def of(self, value: str) -> str:
        """The value to use for the label."""
        if value not in self._seen and len(self._seen) >= MAX_LABEL_VALUES:
            return OTHER
        self._seen.add(value)
        return value
