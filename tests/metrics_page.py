"""Renders the table in docs/reference/metrics.md; `make docs-pages` writes it."""

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from worker.observability.metrics import Metrics

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "metrics.md"
BEGIN: Final = "<!-- metrics: written by `make docs-pages` -->\n"
END: Final = "<!-- end of metrics -->\n"


def table() -> str:
    """Every metric of the worker, as a scrape names it."""
    registry = CollectorRegistry()
    Metrics(registry, version="0")
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in registry._collector_to_names:
        if isinstance(metric, MetricWrapperBase):
            ((family),) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The page with an up-to-date table."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"
