"""The alerts of the chart, evaluated on made-up series by promtool, the tool of Prometheus."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm.chart import CHART

RULES: Final = CHART / "files" / "alerts.yaml"
_ALERT: Final = re.compile(r'alertname="(\w+)"')
_ANNOTATION: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_METRIC: Final = re.compile(r"\brecording_worker_\w+")


def alerts() -> list[dict[str, Any]]:
    """The rules of all alerts."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def metrics_in(text: str) -> set[str]:
    """The metrics of the worker that the text names."""
    return set(_METRIC.findall(text))


def firing(promtool: str, directory: Path, series: Mapping[str, str], at: str) -> set[str]:
    """The alerts that fire at a time such as `20m`, given samples a minute apart.

    `series` are as promtool writes them, such as `0x10` or `0+1x60`.
    """
    query = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": at,
        "exp_samples": [{"labels": '{alertname="unexpected"}', "value": 0}],
    }
    return set(_ALERT.findall(_report(promtool, directory, series, {"promql_expr_test": [query]})))


def annotations(
    promtool: str, directory: Path, series: Mapping[str, str], at: str, alert: str
) -> dict[str, str]:
    """The rendered annotations of an alert that fires at this time."""
    expectation = {
        "alertname": alert,
        "eval_time": at,
        "exp_alerts": [{"exp_labels": {"un": "expected"}}],
    }
    report = _report(promtool, directory, series, {"alert_rule_test": [expectation]})
    rendered = re.search(r"Annotations:\{(.*)\}", report)
    assert rendered, report
    return {name: json.loads(text) for name, text in _ANNOTATION.findall(rendered[1])}


def _report(
    promtool: str, directory: Path, series: Mapping[str, str], test: Mapping[str, Any]
) -> str:
    """The alerts that promtool found.

    It prints them only when an expectation fails, so this expectation always fails.
    """
    input_series = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "1m", "input_series": input_series, **test}
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}
    path = directory / "test.yaml"
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    _, separator, report = (done.stdout + done.stderr).partition("got:")
    assert separator, done.stdout + done.stderr
    return report
