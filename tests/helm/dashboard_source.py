"""Makes the dashboard for Grafana: layout, units, thresholds and links.

`make docs-pages` writes the file. The thresholds are the limits of the alerts in alerts.yaml.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.helm.alert_rules import alerts
from tests.helm.dashboard_panels import ROWS, Panel, Row
from tests.helm.dashboard_queries import Query

REPOSITORY: Final = Path(__file__).parents[2]
DASHBOARD: Final = REPOSITORY / "helm" / "recording-worker" / "files" / "dashboard.json"
UID: Final = "recording-worker"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
RUNBOOKS: Final = "/how-to/operations/"
"""The page with the runbooks, on the site of the documents."""
CONSOLE: Final = "http://127.0.0.1:8070"
"""Where the console listens by default."""
DECIMALS: Final = {
    "short": 0, "s": 1, "ops": 2, "reqps": 2, "bytes": 1, "binBps": 1, "percentunit": 0,
}  # fmt: skip
COLORS: Final = {"critical": "red", "warning": "orange"}
WIDTH: Final = 24
SIZES: Final = {"stat": (4, 4), "timeseries": (8, 8), "state-timeline": (12, 7)}
WIDE_STAT: Final = (12, 7)
"""The size of a stat with a value per label."""
_LEADER_ONLY: Final = re.compile(r"and on \([\w, ]+\) \w+ == 1")
_BY_STATUS: Final = re.compile(r'status=~?"([\w|]+)"\} > (\d+)')
_LIMIT: Final = re.compile(r"(==|<|>) (\d+)")

Json = dict[str, Any]
Step = dict[str, str | int | None]


def steps(alert: Json) -> list[Step]:
    """Green, and the color of the severity where the alert begins."""
    alert_color = COLORS[alert["labels"]["severity"]]
    if alert["expr"].startswith("absent"):
        return _steps(alert_color, "==", 0)
    ((comparison, limit),) = set(_LIMIT.findall(_LEADER_ONLY.sub("", alert["expr"])))
    return _steps(alert_color, comparison, int(limit))


def _steps(alert_color: str, comparison: str, limit: int) -> list[Step]:
    """The steps of a limit. `> 0` begins at 1, and `== 0` ends there: they are about counts."""
    if comparison == "<" or (comparison, limit) == ("==", 0):
        return [{"color": alert_color, "value": None}, {"color": "green", "value": limit or 1}]
    return [{"color": "green", "value": None}, {"color": alert_color, "value": limit or 1}]


def _overrides(alert: Json | None) -> list[Json]:
    """The thresholds of an alert that has a limit per status."""
    if alert is None:
        return []
    return [
        {
            "matcher": {"id": "byName", "options": status},
            "properties": [{"id": "thresholds", "value": _absolute(_steps("orange", ">", limit))}],
        }
        for statuses, limit in _limits_by_status(alert)
        for status in statuses.split("|")
    ]


def _limits_by_status(alert: Json) -> Iterator[tuple[str, int]]:
    return ((statuses, int(limit)) for statuses, limit in _BY_STATUS.findall(alert["expr"]))


def _absolute(found: list[Step]) -> Json:
    return {"mode": "absolute", "steps": found}


def _thresholds(panel: Panel, alert: Json | None) -> Json:
    if panel.id == 50:
        return _absolute(_steps("red", ">", 0))
    if alert is None or _overrides(alert):
        return _absolute([{"color": "green", "value": None}])
    return _absolute(steps(alert))


def _links(panel: Panel) -> list[tuple[str, str]]:
    found = []
    if panel.console is not None:
        found.append(("Console", f"${{console:raw}}{panel.console}"))
    if panel.alert is not None:
        found.append((f"Runbook: {panel.alert}", f"${{runbooks:raw}}#{panel.alert.lower()}"))
    return found


def _link(title: str, url: str) -> Json:
    """A link of a panel or of the dashboard."""
    return {
        "type": "link", "title": title, "url": url, "targetBlank": True, "icon": "external link",
        "tooltip": "", "tags": [], "asDropdown": False, "includeVars": False, "keepTime": False,
    }  # fmt: skip


def _defaults(panel: Panel, alert: Json | None) -> Json:
    found: Json = {
        "unit": panel.unit,
        "decimals": DECIMALS[panel.unit],
        "thresholds": _thresholds(panel, alert),
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "links": [
            {"title": title, "url": url, "targetBlank": True} for title, url in _links(panel)
        ],
        "noValue": panel.empty or "no data",
    }
    if panel.kind == "timeseries":
        style = "off" if alert is None else "dashed"
        found |= {"min": 0, "custom": {"fillOpacity": 8, "thresholdsStyle": {"mode": style}}}
    if panel.kind == "state-timeline":
        found["thresholds"] = _absolute(_steps("red", "==", 0))
    if panel.words is not None:
        if_zero, if_one = panel.words
        options = {"0": {"text": if_zero, "index": 0}, "1": {"text": if_one, "index": 1}}
        found["mappings"] = [{"type": "value", "options": options}]
    return found


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "colorMode": "background" if len(panel.queries) == 1 else "value",
            "graphMode": "none", "justifyMode": "center",
            "textMode": "value_and_name" if "{{" in panel.queries[0].legend else "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }  # fmt: skip
    tooltip = {"mode": "multi", "sort": "desc"}
    if panel.kind == "state-timeline":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": False}
        return {
            "showValue": "never", "mergeValues": True, "rowHeight": 0.8,
            "legend": legend, "tooltip": tooltip,
        }  # fmt: skip
    calcs = ["lastNotNull", "max"]
    legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": calcs}
    return {"legend": legend, "tooltip": tooltip}


def _target(number: int, query: Query) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "expr": query.expression,
        "legendFormat": query.legend,
        "datasource": SOURCE,
    }


def _size(panel: Panel) -> tuple[int, int]:
    return WIDE_STAT if panel.id == 20 else SIZES[panel.kind]


def _panel(panel: Panel, x: int, y: int, known: dict[str, Json]) -> Json:
    alert = known[panel.alert] if panel.alert else None
    width, height = _size(panel)
    return {
        "id": panel.id, "type": panel.kind, "title": panel.title,
        "description": panel.description, "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "links": [_link(title, url) for title, url in _links(panel)],
        "targets": [_target(number, query) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel, alert), "overrides": _overrides(alert)},
        "options": _options(panel),
    }  # fmt: skip


def _placed(row: Row, y: int, known: dict[str, Json]) -> tuple[list[Json], int]:
    """The panels of a row from left to right, and where the next row begins."""
    found: list[Json] = []
    x = tallest = line = 0
    for panel in row.panels:
        width, height = _size(panel)
        if x + width > WIDTH:
            x, y, tallest, line = 0, y + tallest, 0, len(found)
        found.append(_panel(panel, x, y, known))
        x, tallest = x + width, max(tallest, height)
    _widen(found[line:])
    return found, y + tallest


def _widen(line: list[Json]) -> None:
    """Let the panels of a line share its whole width."""
    for number, panel in enumerate(line):
        width = WIDTH // len(line)
        panel["gridPos"] |= {"x": number * width, "w": width}


def _rows() -> Iterator[Json]:
    known = {alert["alert"]: alert for alert in alerts()}
    y = 0
    for row in ROWS:
        panels, end = _placed(row, y + 1, known)
        yield {
            "id": row.id, "type": "row", "title": row.title, "collapsed": row.collapsed,
            "panels": panels if row.collapsed else [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }  # fmt: skip
        yield from [] if row.collapsed else panels
        y = y + 1 if row.collapsed else end


def _selection(name: str, label: str, metric: str) -> Json:
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*", "sort": 1,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def _text(name: str, label: str, value: str, hide: int) -> Json:
    return {
        "name": name, "label": label, "type": "textbox", "hide": hide, "query": value,
        "current": {"selected": True, "text": value, "value": value},
        "options": [{"selected": True, "text": value, "value": value}],
    }  # fmt: skip


def runbooks() -> str:
    """The address of the runbooks, on the site that the package names."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return f"{project['urls']['Documentation']}{RUNBOOKS}"


def _variables() -> list[Json]:
    build = "recording_worker_build_info"
    known = 'namespace=~"$namespace", job=~"$job"'
    circuit = f"recording_worker_api_circuit_open{{{known}}}"
    return [
        {
            "name": "datasource", "label": "Data source", "type": "datasource",
            "query": "prometheus", "current": {}, "refresh": 1,
        },
        _selection("namespace", "Namespace", build),
        _selection("job", "Job", f'{build}{{namespace=~"$namespace"}}'),
        _selection("instance", "Instance", f"{build}{{{known}}}"),
        _selection("app", "App", circuit),
        _text("console", "Console", CONSOLE, 0),
        _text("runbooks", "Runbooks", runbooks(), 2),
    ]  # fmt: skip


def dashboard() -> Json:
    """The dashboard."""
    return {
        "uid": UID, "title": "Recording worker",
        "description": "Metrics of the worker (docs/reference/metrics.md).",
        "schemaVersion": 39, "version": 1, "editable": True, "graphTooltip": 1,
        "timezone": "browser", "time": {"from": "now-6h", "to": "now"}, "refresh": "30s",
        "tags": [UID], "annotations": {"list": []},
        "links": [_link("Console", "${console:raw}/"), _link("Runbooks", "${runbooks:raw}")],
        "templating": {"list": _variables()},
        "panels": list(_rows()),
    }  # fmt: skip


def all_panels(source: Json) -> list[Json]:
    """The panels without the rows, also those of collapsed rows."""
    return [
        panel
        for each in source["panels"]
        for panel in (each["panels"] if each["type"] == "row" else [each])
    ]


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
