"""When a command is delivered again."""

from datetime import datetime, timedelta

import pytest

from recording_schemas import StopRecording
from worker.commands.retry_policy import RetryPolicy
from worker.domain.times import utc

NOW = 1_000_000.0
POLICY = RetryPolicy(
    max_age=3_600,
    stop_wait=300,
    reconcile=30,
    lease=60,
    retry_delays=(5.0, 30.0, 120.0, 600.0),
)


def stop(deadline: datetime | None = None) -> StopRecording:
    return StopRecording(id="stop", meeting_id="m", deadline=deadline)


@pytest.mark.parametrize(
    ("requested_pause", "waits"),
    [(0, 5), (1, 5), (29, 5), (30, 30), (119, 30), (120, 120), (86_400, 120)],
)
def test_a_postponed_command_waits_as_long_as_asked_and_at_most_two_minutes(
    requested_pause: float, waits: float
) -> None:
    assert POLICY.postpone(stop(), NOW, NOW, requested_pause=requested_pause) == waits


def test_a_postponed_command_ends_before_its_deadline() -> None:
    soon = utc(NOW) + timedelta(seconds=40)
    assert POLICY.postpone(stop(soon), NOW, NOW, requested_pause=600) == 30
    assert POLICY.postpone(stop(), NOW - 3_570, NOW, requested_pause=600) == 30
    assert POLICY.postpone(stop(), NOW - 3_600, NOW, requested_pause=600) == 5
    assert POLICY.postpone(stop(), None, NOW, requested_pause=600) == 120


@pytest.mark.parametrize(("waited", "waits"), [(None, 5), (0, 5), (29, 5), (30, 30), (900, 30)])
def test_a_check_of_an_id_that_another_body_has_doubles_its_wait(
    waited: float | None, waits: float
) -> None:
    first_seen = None if waited is None else NOW - waited
    assert POLICY.recheck_conflict(first_seen, NOW) == waits


@pytest.mark.parametrize(
    ("attempts", "requested_pause", "waits"),
    [
        (1, None, 5),
        (2, None, 30),
        (9, None, 600),
        (1, 0, 5),
        (1, 6, 30),
        (1, 30, 30),
        (1, 31, 120),
        (1, 86_400, 600),
        (4, 6, 600),  # the command's own step is longer
    ],
)
def test_the_next_attempt_waits_for_its_step_or_for_the_first_one_that_the_api_asks_for(
    attempts: int, requested_pause: float | None, waits: float
) -> None:
    seconds = POLICY.backoff(
        stop(), attempts=attempts, first_seen=NOW, now=NOW, requested_pause=requested_pause
    )
    assert seconds == waits
