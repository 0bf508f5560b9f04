"""The pauses and late requests that a replica reports to the ledger."""

import pytest

from worker.budget.ledger import TokenRequest, Usage
from worker.budget.pending_report import MAX_OWN_PAUSE_SECONDS, PendingReport
from worker.domain.rate import Rate


@pytest.mark.parametrize("pauses", [(2.0, 30.0), (30.0, 2.0)])
def test_the_longest_pause_that_the_api_asked_for_is_reported(pauses: tuple[float, ...]) -> None:
    report = PendingReport()
    for seconds in pauses:
        report.add_pause(seconds, now=0.0)
    assert (report.pause, report.stops_pause) == (30.0, 30.0)


def test_what_was_reported_with_a_request_that_failed_is_reported_again() -> None:
    report, late = PendingReport(), Usage(at=1.0, requests=1, background=0)
    rates = (Rate(100, 60.0),)
    report.put_back(TokenRequest(rates=rates, late=(late,), paused_for=9.0, stops_paused_for=8.0))
    report.put_back(TokenRequest(rates=rates, paused_for=1.0, stops_paused_for=1.0))
    assert (report.late, report.pause, report.stops_pause) == ([late], 9.0, 8.0)


def test_a_clock_that_is_set_back_does_not_make_a_pause_longer_than_a_minute() -> None:
    report = PendingReport()
    report.add_pause(None, now=86_400.0)
    assert report.add_pause(None, now=0.0) <= MAX_OWN_PAUSE_SECONDS
