"""The worker's metrics as a scrape shows them."""

from math import isnan

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from recording_schemas import Status
from worker.observability.metric_factory import MAX_LABEL_VALUES
from worker.observability.metrics import Metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, version="1.2.3")


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"recording_worker_{name}", labels)


def test_the_version_is_exported(registry: CollectorRegistry, metrics: Metrics) -> None:
    assert value(registry, "build_info", version="1.2.3") == 1


def test_a_command_is_counted_and_timed(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.record_command_received("stop_recording")
    metrics.record_command_completed("stop_recording", "succeeded", 0.25)

    labels = {"type": "stop_recording"}
    assert value(registry, "commands_received_total", **labels) == 1
    assert value(registry, "commands_completed_total", **labels, outcome="succeeded") == 1
    assert value(registry, "command_duration_seconds_sum", **labels) == 0.25


def test_unknown_command_types_make_no_new_series(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for number in range(500):
        metrics.record_command_received(f"invented_{number}")

    assert value(registry, "commands_received_total", type="other") == 500
    assert b"invented" not in generate_latest(registry)


def test_a_label_stops_growing_at_its_bound(registry: CollectorRegistry, metrics: Metrics) -> None:
    for number in range(MAX_LABEL_VALUES + 40):
        metrics.record_dead_letter(f"reason_{number}")
    metrics.record_dead_letter("reason_0")

    assert value(registry, "dead_letters_total", reason="other") == 40
    assert value(registry, "dead_letters_total", reason="reason_0") == 2


def test_api_attempts_are_counted_by_operation_and_outcome(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record_api_request("start_track", "ok", 0.5)
    metrics.record_api_request("start_track", "throttled", 0.5, is_retry=True)

    labels = {"operation": "start_track"}
    assert value(registry, "api_requests_total", **labels, outcome="throttled") == 1
    assert value(registry, "api_request_duration_seconds_count", **labels) == 2
    assert value(registry, "api_retries_total", **labels) == 1


def test_every_status_has_a_series_from_the_beginning(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.set_recordings({Status.RECORDING: 2})
    assert value(registry, "recordings", status="RECORDING") == 2

    metrics.set_recordings({Status.UPLOADED: 1})
    assert [value(registry, "recordings", status=status.value) for status in Status] == [
        1 if status is Status.UPLOADED else 0 for status in Status
    ]


def test_the_size_and_age_of_the_outbox_are_exported(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.set_outbox(7, 1.5)
    metrics.record_event_published("recording.file_ready.v1", 0.5)

    assert value(registry, "outbox_events") == 7
    assert value(registry, "outbox_oldest_age_seconds") == 1.5
    assert value(registry, "events_published_total", type="recording.file_ready.v1") == 1
    assert value(registry, "event_publish_delay_seconds_sum") == 0.5


def test_sweeps_are_timed_and_their_failures_counted(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record_sweep(0.5)
    metrics.record_sweep(0.5, failed=True)

    assert value(registry, "sweep_duration_seconds_count") == 2
    assert value(registry, "sweep_failures_total") == 1


def test_watched_values_are_read_at_each_scrape(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    working: list[str] = []
    metrics.watch_replica(in_flight=lambda: len(working), leads=lambda: bool(working))
    assert (value(registry, "commands_in_flight"), value(registry, "leader")) == (0, 0)

    working.append("command")
    assert (value(registry, "commands_in_flight"), value(registry, "leader")) == (1, 1)


def test_the_longest_unchanged_recording_of_each_live_status_is_exported(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.set_oldest({Status.INVOKED: 90.0, Status.PAUSED: -1.0}, 7.0)
    name = "recordings_oldest_unchanged_seconds"
    assert value(registry, name, status="INVOKED") == 90
    assert value(registry, name, status="PAUSED") == 0  # another replica's clock
    assert value(registry, "recordings_read_overdue_seconds") == 7

    metrics.set_oldest({}, 0.0)
    assert value(registry, name, status="INVOKED") == 0


def test_each_check_of_readiness_is_a_series(registry: CollectorRegistry, metrics: Metrics) -> None:
    troubles: list[str] = []
    metrics.watch_checks({"store": lambda: troubles[0] if troubles else None})
    assert value(registry, "ready", check="store") == 1

    troubles.append("the disk is full")
    assert value(registry, "ready", check="store") == 0


def test_a_budget_is_exported_once_it_is_known(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    budget = Budget()
    metrics.watch_budget("acme", budget)
    assert isnan(value(registry, "api_budget_left", account="acme") or 0.0)

    budget.known = 7
    assert value(registry, "api_budget_left", account="acme") == 7
    assert value(registry, "api_budget_paused_seconds", account="acme") == 3


class Budget:
    known: int | None = None

    def remaining(self) -> int | None:
        return self.known

    def paused_for(self) -> float:
        return 3.0


def test_two_workers_in_one_process_do_not_share_their_counts() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first, version="1").record_event_published("recording.completed.v1", 0.5)
    Metrics(second, version="1")

    assert value(first, "events_published_total", type="recording.completed.v1") == 1
    assert value(second, "events_published_total", type="recording.completed.v1") is None


def test_archived_files_are_counted_with_their_bytes_and_timed(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record_archived(1_000, 0.5)
    metrics.record_archived(500, 2.0)

    assert value(registry, "archive_files_copied_total") == 2
    assert value(registry, "archive_bytes_copied_total") == 1_500
    assert value(registry, "archive_copy_duration_seconds_sum") == 2.5


def test_a_failure_of_the_archive_has_a_series_before_it_first_happens(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    labels = {"reason": "storage_refused"}
    before = value(registry, "archive_failures_total", **labels)

    metrics.record_archive_failure("storage_refused")

    assert (before, value(registry, "archive_failures_total", **labels)) == (0, 1)


def test_the_time_to_the_first_expiry_is_nan_while_no_file_is_queued(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    name = "archive_first_expiry_seconds"
    at_first = value(registry, name)
    metrics.set_archive(queued=2, oldest_age=90.0, first_expiry=-5.0, refused=1, failed=3)
    late = value(registry, name)
    metrics.set_archive(queued=0, oldest_age=0.0, first_expiry=None, refused=0, failed=3)

    assert late == -5.0
    assert isnan(at_first or 0.0)
    assert isnan(value(registry, name) or 0.0)
    assert value(registry, "archive_failed_files") == 3
