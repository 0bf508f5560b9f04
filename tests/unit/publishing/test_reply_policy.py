"""To which queues replies may go, and how long the decision may take."""

import asyncio
import signal

import pytest

from worker.broker.topology import Topology
from worker.publishing.reply_policy import ReplyPolicy

NESTED = r"^([a-z0-9]+[.-]?)*replies$"
SLOW_NAME = "a" * 27
"""Each character doubles the time that the search would take: here to some seconds."""


@pytest.mark.parametrize(
    ("pattern", "queue", "refusal"),
    [
        ("", "any", None),
        ("replies", "billing.replies", None),
        ("^replies", "billing.replies", "pattern"),
        (NESTED, "billing.eu-1.replies", None),
        (NESTED, SLOW_NAME, "slow_pattern"),
        ("", "recording.commands", "own_queue"),
        ("", "recording.commands.retry.5s", "own_queue"),
    ],
)
def test_a_reply_goes_only_to_a_queue_that_the_pattern_permits_in_time(
    pattern: str, queue: str, refusal: str | None
) -> None:
    assert ReplyPolicy(Topology(), pattern).refusal(queue) == refusal


def test_a_search_leaves_no_timer_and_no_handler_behind() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    for queue in ("replies", SLOW_NAME):
        ReplyPolicy(Topology(), NESTED).refusal(queue)
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGVTALRM) is before


async def test_a_search_in_another_thread_is_not_limited() -> None:
    policy = ReplyPolicy(Topology(), NESTED)
    assert await asyncio.to_thread(policy.refusal, "a" * 19) == "pattern"
