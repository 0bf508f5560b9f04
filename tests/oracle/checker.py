"""Judges a history by all checks."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.oracle.check_dead_letters import check_dead_letters
from tests.oracle.check_events import check_events
from tests.oracle.check_files import check_files
from tests.oracle.check_messages import check_messages
from tests.oracle.check_missing import check_missing
from tests.oracle.check_outcomes import check_outcomes
from tests.oracle.check_replays import check_replays
from tests.oracle.check_requests import check_requests
from tests.oracle.check_starts import check_starts
from tests.oracle.check_statuses import check_statuses
from tests.oracle.check_stops import check_stops
from tests.oracle.check_times import check_times
from tests.oracle.evidence import Evidence

CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    check_missing,
    check_outcomes,
    check_starts,
    check_stops,
    check_events,
    check_statuses,
    check_files,
    check_times,
    check_replays,
    check_messages,
    check_requests,
    check_dead_letters,
)


def violations(evidence: Evidence) -> list[str]:
    """Each way in which the history breaks the contract, in words."""
    return [problem for check in CHECKS for problem in check(evidence)]
