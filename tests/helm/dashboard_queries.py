"""Queries of the dashboard, for the replicas that are selected on the page."""

from typing import Final, NamedTuple

S: Final = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
RATE: Final = "[$__rate_interval]"
APP: Final = 'app=~"$app"'
CONSUMING: Final = 'check="consuming"'
STORE: Final = 'check="store"'
FAILED: Final = 'outcome="failed"'


class Query(NamedTuple):
    """A query and the name of its series."""

    expression: str
    legend: str


def of(metric: str, *matchers: str) -> str:
    """The selected series of a metric of the worker."""
    return f"recording_worker_{metric}{{{', '.join((S, *matchers))}}}"


def rate(metric: str, label: str) -> Query:
    """How often a counter grows, by a label."""
    return Query(f"sum by ({label}) (rate({of(metric)}{RATE}))", f"{{{{{label}}}}}")


def total_rate(metric: str, legend: str) -> Query:
    """How often a counter grows."""
    return Query(f"sum(rate({of(metric)}{RATE}))", legend)


def grown(selector: str, minutes: int, legend: str) -> Query:
    """By how much a counter grew. 0 before its first increase."""
    return Query(f"sum(increase({selector}[{minutes}m])) or vector(0)", legend)


def quantile(share: float, metric: str, legend: str, *labels: str) -> Query:
    """A quantile of a histogram."""
    by = ", ".join(("le", *labels))
    buckets = f"sum by ({by}) (rate({of(metric + '_bucket')}{RATE}))"
    return Query(f"histogram_quantile({share}, {buckets})", legend)


def largest(metric: str, legend: str) -> Query:
    """The value that all replicas share."""
    return Query(f"max({of(metric)})", legend)


def largest_by(metric: str, label: str, *matchers: str) -> Query:
    """The value that all replicas share, by a label."""
    return Query(f"max by ({label}) ({of(metric, *matchers)})", f"{{{{{label}}}}}")
