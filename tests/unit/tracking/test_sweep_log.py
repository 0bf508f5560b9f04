"""Sweeps that found nothing do not fill the log."""

import structlog

from worker.tracking.sweep_log import SweepLog


def test_quiet_sweeps_are_summed_once_a_minute_and_changes_are_said_at_once() -> None:
    now = 1000.0
    log = SweepLog("eu", lambda: now)
    with structlog.testing.capture_logs() as lines:
        for second in range(125):
            now = 1000.0 + second
            log.completed(requests=2, events=1 if second == 30 else 0, seconds=0.1)

    info = [line for line in lines if line["log_level"] == "info"]
    assert [(line["event"], line.get("sweeps"), line["requests"]) for line in info] == [
        ("sweeps_without_change", 1, 2),
        ("sweep_completed", None, 2),
        ("sweeps_without_change", 59, 118),
        ("sweeps_without_change", 60, 120),
    ]
    assert {line["app"] for line in lines} == {"eu"}
    debug = [line for line in lines if line["log_level"] == "debug"]
    assert [line["event"] for line in debug] == ["sweep_completed"] * 124
