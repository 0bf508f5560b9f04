"""The limits in the API's answers, until a request to the ledger reports them."""

import pytest

from worker.budget.pending_report import PendingReport
from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate

RATE = Rate(10, 60.0)


@pytest.mark.parametrize("scarcest", [0, 5])
def test_the_scarcest_report_about_a_rate_counts(scarcest: int) -> None:
    report = PendingReport()
    for left in (None, scarcest, 7, None):
        report.add_limits([ReportedLimit(RATE, left)])
    assert report.limits == (ReportedLimit(RATE, scarcest),)
    assert report.has_pause == (scarcest == 0)
