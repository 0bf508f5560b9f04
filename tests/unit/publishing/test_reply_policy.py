"""To which queues replies may go, and how long the decision may take."""

import pytest

from worker.broker.topology import Topology
from worker.publishing.reply_policy import ReplyPolicy

AMBIGUOUS = r"^(a|[a-z])*$"
SLOW_NAME = "a" * 60 + "."
"""Each character doubles the time that the search would take: here to years."""


@pytest.mark.parametrize(
    ("pattern", "queue", "refusal"),
    [
        ("", "any", None),
        ("replies", "billing.replies", None),
        ("^replies", "billing.replies", "pattern"),
        (AMBIGUOUS, "replies", None),
        (AMBIGUOUS, SLOW_NAME, "slow_pattern"),
        ("", "recording.commands", "own_queue"),
        ("", "recording.commands.retry.5s", "own_queue"),
    ],
)
def test_a_reply_goes_only_to_a_queue_that_the_pattern_permits_in_time(
    pattern: str, queue: str, refusal: str | None
) -> None:
    assert ReplyPolicy(Topology(), pattern).refusal(queue) == refusal
