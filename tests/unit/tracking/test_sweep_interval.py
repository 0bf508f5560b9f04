"""How often to sweep."""

import pytest

from worker.tracking.sweep_interval import SweepInterval


def sweep_interval(rate: float = 2) -> SweepInterval:
    return SweepInterval(base=10, audit=120, rate=rate)


@pytest.mark.parametrize(("pages", "expected"), [(1, 10), (10, 10), (20, 10), (40, 20), (100, 50)])
def test_a_long_list_is_swept_as_often_as_the_budget_allows(pages: int, expected: float) -> None:
    interval = sweep_interval()
    interval.record_sweep(pages, any_webhook=False)
    assert interval.interval == expected


def test_the_interval_grows_to_the_audit_interval_while_webhooks_report_everything() -> None:
    interval = sweep_interval()
    intervals = []
    for _ in range(6):
        interval.record_sweep(1, any_webhook=True)
        intervals.append(interval.interval)
    assert intervals == [20, 40, 80, 120, 120, 120]


def test_a_change_without_a_webhook_resets_the_interval() -> None:
    interval = sweep_interval()
    for _ in range(5):
        interval.record_sweep(1, any_webhook=True)
    interval.record_miss()
    assert interval.interval == 10


def test_the_interval_does_not_grow_without_webhooks() -> None:
    interval = sweep_interval()
    interval.record_sweep(1, any_webhook=True)
    interval.record_sweep(1, any_webhook=False)
    assert interval.interval == 10


def test_the_audit_interval_is_never_shorter_than_the_budget_allows() -> None:
    interval = sweep_interval(rate=0.5)
    interval.record_sweep(100, any_webhook=True)
    assert interval.interval == 200


def test_a_requested_sweep_waits_only_for_the_budget() -> None:
    interval = sweep_interval()
    interval.record_sweep(4, any_webhook=False)
    assert (interval.budget_interval, interval.interval) == (2, 10)
