"""Grafana can load the dashboard, and its queries use only metrics that the worker exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e.worker_environment import open_worker_environment
from tests.helm.alert_rules import RULES, metrics_in
from tests.helm.chart import CHART
from tests.helm.grafana_models import faults

DASHBOARD: Final[dict[str, Any]] = json.loads((CHART / "files" / "dashboard.json").read_text())
UNITS: Final = {"short", "s", "ops", "reqps", "bytes"}


def panels(kind: str = "timeseries") -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] == kind)


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_grafana_knows_every_field_of_the_dashboard_and_its_type() -> None:
    assert faults(DASHBOARD) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"schemaVersion": 39', '"schemaVersion": "39"'),
        ('"refresh": 2', '"refresh": 7'),
        ('"gridPos"', '"grid"'),
        ('"displayMode": "list"', '"displayMode": "lists"'),
        ('"expr"', '"query"'),
        ('"min": 0', '"min": "none"'),
        ('"from": "now-6h"', '"from": 6'),
    ],
)
def test_a_field_that_grafana_would_misread_is_a_fault(right: str, wrong: str) -> None:
    text = json.dumps(DASHBOARD)
    assert right in text
    assert faults(json.loads(text.replace(right, wrong)))


async def test_alerts_and_dashboard_use_only_metrics_that_a_running_worker_exports(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    used = metrics_in(RULES.read_text()) | {
        name for query in queries() for name in metrics_in(query)
    }
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        _, text = await environment.worker.probe("/metrics")
    declared = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    exported = declared | {f"{name}_bucket" for name in declared}
    assert used - exported == set()


def test_every_metric_of_the_worker_is_on_the_dashboard() -> None:
    used = {name for query in queries() for name in metrics_in(query)}
    documented = set(re.findall(r"`(recording_worker_\w+)`", METRICS.read_text()))
    shown = used | {name.removesuffix("_bucket") for name in used}
    assert documented - shown == set()


METRICS: Final = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_panels_have_unique_ids_and_do_not_overlap() -> None:
    all_panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in all_panels}) == len(all_panels)
    taken: set[tuple[int, int]] = set()
    for panel in all_panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel["title"])
def test_a_panel_has_a_unit_and_queries_the_selected_source_and_pods(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        selectors = re.findall(r"\{([^{}]*)\}", target["expr"])
        assert selectors
        assert all('namespace=~"$namespace", pod=~"$pod"' in selector for selector in selectors)


def test_source_namespace_and_pods_can_be_selected() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    chosen = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert chosen == {"datasource": "datasource", "namespace": "query", "pod": "query"}
