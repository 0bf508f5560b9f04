"""Grafana can load the dashboard, and its queries use only metrics that the worker exports."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e.worker_environment import open_worker_environment
from tests.helm.alert_rules import RULES, alerts, metrics_in
from tests.helm.chart import CHART, MINIMAL, manifests, merged
from tests.helm.dashboard_source import all_panels, steps
from tests.helm.grafana_models import faults

DASHBOARD: Final[dict[str, Any]] = json.loads((CHART / "files" / "dashboard.json").read_text())
PANELS: Final = all_panels(DASHBOARD)
ALERTS: Final = {alert["alert"]: alert for alert in alerts()}
UNITS: Final = {"short", "s", "ops", "reqps", "bytes", "binBps", "percentunit"}
VARIABLES: Final = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
CONSOLE_PAGES: Final = {"/", "/commands", "/dead", "/archive"}
by_title: Final = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def queries() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def panels_of(alert: str) -> list[dict[str, Any]]:
    """The panels that link to the runbook of an alert."""
    link = f"${{runbooks:raw}}#{alert.lower()}"
    return [panel for panel in PANELS if link in {each["url"] for each in panel["links"]}]


def limits(panel: dict[str, Any]) -> set[int]:
    """The limits of a panel, also those of single series."""
    config = panel["fieldConfig"]
    thresholds = [config["defaults"]["thresholds"]] + [
        override["properties"][0]["value"] for override in config["overrides"]
    ]
    return {step["value"] for threshold in thresholds for step in threshold["steps"]} - {None}


def test_grafana_accepts_every_field_of_the_dashboard_and_its_type() -> None:
    assert faults(DASHBOARD) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"schemaVersion": 39', '"schemaVersion": "39"'),
        ('"refresh": 2', '"refresh": 7'),
        ('"gridPos"', '"grid"'),
        ('"displayMode": "table"', '"displayMode": "tables"'),
        ('"expr"', '"query"'),
        ('"min": 0', '"min": "none"'),
        ('"from": "now-6h"', '"from": 6'),
        ('"targetBlank": true', '"targetBlank": "true"'),
        ('"thresholds"', '"limits"'),
        ('"noValue"', '"empty"'),
    ],
)
def test_a_field_that_grafana_would_misread_is_a_fault(right: str, wrong: str) -> None:
    text = json.dumps(DASHBOARD)
    assert right in text
    assert faults(json.loads(text.replace(right, wrong)))


async def test_a_fresh_worker_exports_what_alerts_and_panels_use_and_no_panel_stays_silent(
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
    assert [panel["title"] for panel in PANELS if is_silent(panel, text)] == []


def is_silent(panel: dict[str, Any], metrics: str) -> bool:
    """Whether the panel shows neither data nor a reason for none, given the metrics of a worker."""
    if panel["fieldConfig"]["defaults"]["noValue"] != "no data":
        return False
    sampled = set(re.findall(r"^(\w+)(?:\{.*\})? \S+$", metrics, re.MULTILINE))
    return not any(
        "vector(0)" in target["expr"] or metrics_in(target["expr"]) <= sampled
        for target in panel["targets"]
    )


def test_every_metric_of_the_worker_is_on_the_dashboard() -> None:
    used = {name for query in queries() for name in metrics_in(query)}
    documented = set(re.findall(r"`(recording_worker_\w+)`", METRICS.read_text()))
    shown = used | {name.removesuffix("_bucket") for name in used}
    assert documented - shown == set()


METRICS: Final = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    columns = range(at["x"], at["x"] + at["w"])
    return {(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])}


def test_panels_have_unique_ids() -> None:
    ids = [panel["id"] for panel in [*PANELS, *DASHBOARD["panels"]]]
    rows = [row["id"] for row in DASHBOARD["panels"] if row["type"] == "row"]
    assert len({*ids}) == len(PANELS) + len(rows)


@pytest.mark.parametrize(
    "group",
    [DASHBOARD["panels"], *(row["panels"] for row in DASHBOARD["panels"] if row.get("collapsed"))],
    ids=lambda group: str(group[0]["title"]),
)
def test_panels_are_within_the_page_and_do_not_overlap(group: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in group:
        assert not cells(panel) & taken, panel["title"]
        assert max(x for x, _ in cells(panel)) < 24
        taken |= cells(panel)


def test_rows_are_in_the_order_of_reading_and_secondary_ones_are_collapsed() -> None:
    rows = [row for row in DASHBOARD["panels"] if row["type"] == "row"]
    assert [(row["title"], row["collapsed"]) for row in rows] == [
        ("Is it healthy?", False),
        ("Commands", False),
        ("Recordings and tracking", False),
        ("Recording API and budget", True),
        ("Publishing", True),
        ("Archive", True),
        ("Process", True),
    ]


@by_title
def test_a_panel_has_a_unit_and_decimals_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["decimals"] in {0, 1, 2}
    assert re.fullmatch(r"[A-Z`].*\.", panel["description"])


@by_title
def test_a_panel_queries_the_selected_source_and_replicas(panel: dict[str, Any]) -> None:
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        selectors = re.findall(r"(\w+)\{([^{}]*)\}", target["expr"])
        assert selectors
        for metric, selector in selectors:
            assert VARIABLES in selector or metric == "ALERTS", metric


@by_title
def test_a_panel_links_the_same_pages_from_its_header_and_its_series(panel: dict[str, Any]) -> None:
    links = [link["url"] for link in panel["links"]]
    assert links == [link["url"] for link in panel["fieldConfig"]["defaults"]["links"]]
    for url in links:
        base, _, rest = url.partition("}")
        known = (
            CONSOLE_PAGES if base == "${console:raw" else {f"#{name.lower()}" for name in ALERTS}
        )
        assert rest in known, url


@pytest.mark.parametrize("alert", list(ALERTS))
def test_the_panels_of_an_alert_turn_red_or_orange_at_its_limit(alert: str) -> None:
    rule = ALERTS[alert]
    expression = rule["expr"].partition("and on")[0] + rule["expr"].partition("== 1")[2]
    limit = {int(number) for number in re.findall(r"[<>] (\d+)", expression)} or {0}
    found = panels_of(alert)
    assert found
    for panel in found:
        assert limits(panel) == {number or 1 for number in limit}, panel["title"]


@pytest.mark.parametrize("alert", list(ALERTS))
def test_an_alert_links_one_of_its_panels(alert: str) -> None:
    path, _, panel = ALERTS[alert]["annotations"]["dashboard_url"].partition("?viewPanel=")
    assert path == f"/d/{DASHBOARD['uid']}"
    assert int(panel) in {each["id"] for each in panels_of(alert)}


def test_the_limit_of_an_alert_is_the_limit_of_its_panel() -> None:
    rule = {"labels": {"severity": "warning"}, "expr": "max by (job) (x) > 77"}
    assert steps(rule) == [{"color": "green", "value": None}, {"color": "orange", "value": 77}]
    rule = {"labels": {"severity": "critical"}, "expr": "min by (job) (x) < 5"}
    assert steps(rule) == [{"color": "red", "value": None}, {"color": "green", "value": 5}]


def test_prometheus_accepts_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": "a:b:c", "expr": query.replace("$__rate_interval", "1m")}
        for query in dict.fromkeys(queries())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [promtool, "check", "rules", "--lint=none", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_source_namespace_job_instance_and_app_can_be_selected() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    chosen = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    selected = dict.fromkeys(("namespace", "job", "instance", "app"), "query")
    written = {"console": "textbox", "runbooks": "textbox"}
    assert chosen == {"datasource": "datasource", **selected, **written}


def deployed(console: str, runbooks: str) -> dict[str, Any]:
    """The dashboard as the chart deploys it."""
    metrics = {
        "dashboard": {"enabled": True, "console": console},
        "prometheusRule": {"runbooks": runbooks},
    }
    found = manifests(merged(MINIMAL, {"metrics": metrics}))
    (text,) = (
        manifest["data"]["recording-worker.json"]
        for manifest in found
        if manifest["metadata"]["name"].endswith("-dashboard")
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def variables(dashboard: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["query"] for variable in dashboard["templating"]["list"]}


def test_the_chart_sets_the_addresses_of_the_console_and_the_runbooks() -> None:
    found = deployed("https://console.example.com/", "https://example.com/runbooks")
    assert faults(found) == []
    assert variables(found)["console"] == "https://console.example.com"
    assert variables(found)["runbooks"] == "https://example.com/runbooks"
    assert all_panels(found) == PANELS


def test_without_a_console_the_chart_leaves_its_links_out_and_changes_nothing_else() -> None:
    found = deployed("", "docs/how-to/operations.md")
    assert faults(found) == []
    assert "console" not in variables(found)
    assert "${console" not in json.dumps(found)
    assert variables(found)["runbooks"] == variables(DASHBOARD)["runbooks"]
    assert [(panel["id"], panel["targets"]) for panel in all_panels(found)] == [
        (panel["id"], panel["targets"]) for panel in PANELS
    ]
    runbooks = [link for panel in PANELS for link in panel["links"] if "runbooks" in link["url"]]
    assert [link for panel in all_panels(found) for link in panel["links"]] == runbooks
