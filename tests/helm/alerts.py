"""The alerts of the chart, and Prometheus's own tool to play time to them."""

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
_NOTE: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_METRIC: Final = re.compile(r"\brecording_worker_\w+")


def alerts() -> list[dict[str, Any]]:
    """Each alert as it is written."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def metrics_in(text: str) -> set[str]:
    """The worker's metrics that queries name."""
    return set(_METRIC.findall(text))


def firing(promtool: str, directory: Path, series: Mapping[str, str], at: str) -> set[str]:
    """The alerts that fire at a time such as `20m`, given samples a minute apart.

    `series` are as promtool writes them, such as `0x10` or `0+1x60`.
    """
    asked = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": at,
        "exp_samples": [{"labels": '{alertname="unexpected"}', "value": 0}],
    }
    return set(_ALERT.findall(_got(promtool, directory, series, {"promql_expr_test": [asked]})))


def told(
    promtool: str, directory: Path, series: Mapping[str, str], at: str, alert: str
) -> dict[str, str]:
    """The annotations of an alert that fires, as whoever is woken reads them."""
    asked = {
        "alertname": alert,
        "eval_time": at,
        "exp_alerts": [{"exp_labels": {"un": "expected"}}],
    }
    got = _got(promtool, directory, series, {"alert_rule_test": [asked]})
    annotations = re.search(r"Annotations:\{(.*)\}", got)
    assert annotations, got
    return {name: json.loads(text) for name, text in _NOTE.findall(annotations[1])}


def _got(
    promtool: str, directory: Path, series: Mapping[str, str], asked: Mapping[str, Any]
) -> str:
    """What was there instead of what the question expects: the tool tells nothing else."""
    written = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": written, **asked}
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}
    path = directory / "test.yaml"
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    _, got, rest = (done.stdout + done.stderr).partition("got:")
    assert got, done.stdout + done.stderr
    return rest
