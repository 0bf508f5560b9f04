"""Each alert fires at the right minute and not one minute before, according to promtool."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.helm.alert_rules import RULES, alerts, annotations, firing
from tests.helm.chart import MINIMAL, manifests, merged, only

Series = Mapping[str, str]

HOURS: Final = "x200"


def metric(name: str, *, instance: str = "a", **labels: str) -> str:
    """A series of a replica."""
    known = {"namespace": "meetings", "job": "rw", "instance": instance, **labels}
    written = ",".join(f'{label}="{value}"' for label, value in known.items())
    return f"recording_worker_{name}{{{written}}}"


HEALTHY: Final = {
    metric("build_info"): f"1{HOURS}",
    metric("ready", check="consuming"): f"1{HOURS}",
    metric("ready", check="store"): f"1{HOURS}",
    metric("leader"): f"1{HOURS}",
    metric("outbox_oldest_age_seconds"): f"0.5{HOURS}",
    metric("outbox_set_aside_events"): f"0{HOURS}",
    metric("api_circuit_open", app="default"): f"0{HOURS}",
    metric("api_budget_refusals_total", priority="command"): f"3{HOURS}",
    metric("commands_completed_total", type="stop_recording", outcome="failed"): f"2{HOURS}",
    metric("dead_letters_total", reason="not_json"): f"0{HOURS}",
    metric("recordings_oldest_unchanged_seconds", status="INVOKED"): f"20{HOURS}",
    metric("recordings_oldest_unchanged_seconds", status="RECORDING"): f"8000{HOURS}",
    metric("recordings_read_overdue_seconds"): f"0{HOURS}",
    metric("sweep_last_success_timestamp_seconds", app="default"): "0+60x200",
    metric("archive_first_expiry_seconds"): "604800x90 NaN NaN NaN _x110",
    metric("archive_oldest_age_seconds"): "0+20x200",
    metric("archive_refused_files"): f"0{HOURS}",
    metric("archive_failed_files"): f"3{HOURS}",
}
"""A healthy replica that had trouble earlier."""

ABSENT: Final = {**dict.fromkeys(HEALTHY, f"_{HOURS}")}

CASES: Final[list[tuple[str, Series, str]]] = [
    # alert, series that differ from a healthy replica, time when it begins to fire
    ("Absent", ABSENT, "5m"),
    ("Absent", {metric("build_info"): "1x20 _x80"}, "31m"),
    ("NoConsumer", {metric("ready", check="consuming"): f"0{HOURS}"}, "5m"),
    ("NoLeader", {metric("leader"): f"0{HOURS}"}, "2m"),
    ("StoreTrouble", {metric("ready", check="store"): f"0{HOURS}"}, "2m"),
    ("OutboxAges", {metric("outbox_oldest_age_seconds"): f"61{HOURS}"}, "2m"),
    ("EventsSetAside", {metric("outbox_set_aside_events"): f"1{HOURS}"}, "1m"),
    ("DeadLettersGrow", {metric("dead_letters_total", reason="not_json"): "5x40 6x160"}, "41m"),
    ("DeadLettersGrow", {metric("dead_letters_total", reason="new"): "_x40 1x160"}, "40m"),
    (
        "CommandsFail",
        {metric("commands_completed_total", type="stop_recording", outcome="failed"): "0x40 1x160"},
        "41m",
    ),
    ("ApiOutage", {metric("api_circuit_open", app="default"): f"1{HOURS}"}, "5m"),
    (
        "BudgetExhausted",
        {metric("api_budget_refusals_total", priority="command"): "0x40 1x160"},
        "46m",
    ),
    (
        "RecordingStalled",
        {metric("recordings_oldest_unchanged_seconds", status="INVOKED"): "0+60x200"},
        "16m",
    ),
    (
        "RecordingStalled",
        {metric("recordings_oldest_unchanged_seconds", status="UPLOADING"): "0+60x200"},
        "156m",
    ),
    (
        "RecordingStalled",
        {metric("recordings_oldest_unchanged_seconds", status="PAUSED"): f"93601{HOURS}"},
        "5m",
    ),
    ("UnknownStatus", {metric("api_unknown_statuses_total"): "0x40 1x160"}, "41m"),
    (
        "NotFollowing",
        {metric("sweep_last_success_timestamp_seconds", app="default"): f"0{HOURS}"},
        "21m",
    ),
    ("NotFollowing", {metric("recordings_read_overdue_seconds"): "0+60x200"}, "21m"),
    ("ArchiveExpires", {metric("archive_first_expiry_seconds"): "87000-60x200"}, "26m"),
    ("ArchiveRefused", {metric("archive_refused_files"): f"2{HOURS}"}, "5m"),
    ("ArchiveWaits", {metric("archive_oldest_age_seconds"): "0+60x200"}, "136m"),
    ("FilesNotArchived", {metric("archive_failed_files"): "3x90 4x110"}, "91m"),
]


def minute_before(at: str) -> str:
    return f"{int(at.removesuffix('m')) - 1}m"


@pytest.mark.parametrize(("alert", "changes", "at"), CASES)
def test_an_alert_fires_alone_and_not_a_minute_early(
    promtool: str, tmp_path: Path, alert: str, changes: Series, at: str
) -> None:
    series = {**HEALTHY, **changes}
    assert firing(promtool, tmp_path, series, minute_before(at)) == set()
    assert firing(promtool, tmp_path, series, at) == {f"RecordingWorker{alert}"}


@pytest.mark.parametrize(("alert", "changes", "at"), CASES)
def test_the_text_of_an_alert_is_complete(
    promtool: str, tmp_path: Path, alert: str, changes: Series, at: str
) -> None:
    notes = annotations(promtool, tmp_path, {**HEALTHY, **changes}, at, f"RecordingWorker{alert}")
    assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    for text in notes.values():
        assert not re.search(r"[{}]|<no value>|<error|%!|  |\b(of|in|for)\s+[.,]", text), text


def test_every_alert_has_a_case() -> None:
    assert {alert["alert"] for alert in alerts()} == {
        f"RecordingWorker{alert}" for alert, _, _ in CASES
    }


@pytest.mark.parametrize("at", ["1m", "30m", "3h"])
def test_a_healthy_worker_raises_no_alert(promtool: str, tmp_path: Path, at: str) -> None:
    assert firing(promtool, tmp_path, HEALTHY, at) == set()


def test_a_replica_that_is_not_the_leader_raises_no_alert(promtool: str, tmp_path: Path) -> None:
    second = {
        metric("build_info", instance="b"): f"1{HOURS}",
        metric("leader", instance="b"): f"0{HOURS}",
        metric("sweep_last_success_timestamp_seconds", instance="b", app="default"): f"0{HOURS}",
    }
    assert firing(promtool, tmp_path, {**HEALTHY, **second}, "3h") == set()


def test_files_that_were_given_up_long_ago_raise_no_alert(promtool: str, tmp_path: Path) -> None:
    series = {**HEALTHY, metric("archive_failed_files"): "3x30 4x170"}
    assert firing(promtool, tmp_path, series, "100m") == set()


def test_one_scraped_replica_is_enough_for_absent_not_to_fire(
    promtool: str, tmp_path: Path
) -> None:
    gone = {metric("build_info", instance="b"): "1x20 _x80"}
    assert firing(promtool, tmp_path, {**HEALTHY, **gone}, "40m") == set()


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_links_its_runbook_and_uses_only_its_own_labels(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    notes = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["runbook_url"] == f"docs/how-to/operations.md#{alert['alert'].lower()}"
    grouped = re.search(r"by \(([\w, ]+)\)", alert["expr"])
    assert grouped is not None
    assert set(re.findall(r"\$labels\.(\w+)", notes["description"])) <= set(grouped[1].split(", "))


def test_the_chart_sets_the_url_of_the_runbooks() -> None:
    runbooks = "https://git.example.com/recording-worker/blob/main/docs/operations.md"
    rule = {"enabled": True, "runbooks": runbooks}
    found = manifests(merged(MINIMAL, {"metrics": {"prometheusRule": rule}}))
    (group,) = only(found, "PrometheusRule")["spec"]["groups"]
    assert [rule["annotations"]["runbook_url"] for rule in group["rules"]] == [
        f"{runbooks}#{alert['alert'].lower()}" for alert in alerts()
    ]


@pytest.mark.parametrize("grafana", ["", "https://grafana.example.com", "https://example.com/g/"])
def test_the_chart_sets_the_url_of_grafana(grafana: str) -> None:
    rule = {"enabled": True, "grafana": grafana}
    found = manifests(merged(MINIMAL, {"metrics": {"prometheusRule": rule}}))
    (group,) = only(found, "PrometheusRule")["spec"]["groups"]
    assert [rule["annotations"]["dashboard_url"] for rule in group["rules"]] == [
        grafana.removesuffix("/") + alert["annotations"]["dashboard_url"] for alert in alerts()
    ]
