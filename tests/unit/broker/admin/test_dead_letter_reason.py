"""The reason of a dead letter is read from its headers, written by the worker or the broker."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.broker.admin.dead_letter_reason import reason_from_headers

QUEUE = "recording.commands.dead"
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
OURS = {
    "x-reason-code": "crashed",
    "x-reason": "5 attempts in a row",
    "x-attempts": 5,
    "x-first-seen": "2025-01-01T11:00:00Z",
    "x-last-seen": "2025-01-01T12:00:00Z",
}


def death(reason: str = "delivery_limit", queue: str = "recording.commands") -> dict[str, Any]:
    return {"queue": queue, "reason": reason, "count": 1, "time": NOON}


def test_a_workers_headers_give_the_reason_and_the_times() -> None:
    found = reason_from_headers(OURS, dead_queue=QUEUE)

    assert (found.by, found.code, found.attempts) == ("worker", "crashed", 5)
    assert (found.last_seen, found.first_seen) == (NOON, NOON.replace(hour=11))


def test_the_brokers_record_is_newer_than_a_workers_reason() -> None:
    deaths = [death(), death("expired", "recording.commands.retry.5s")]
    found = reason_from_headers({**OURS, "x-death": deaths}, dead_queue=QUEUE)

    assert (found.by, found.code, found.last_seen) == ("broker", "delivery_limit", NOON)
    assert (found.first_seen, found.attempts) == (NOON.replace(hour=11), 5)


def test_without_a_retry_the_headers_of_a_worker_are_those_of_a_publisher() -> None:
    found = reason_from_headers({**OURS, "x-death": [death()]}, dead_queue=QUEUE)

    assert (found.first_seen, found.attempts) == (NOON, None)


def test_the_attempts_before_a_replay_count() -> None:
    assert reason_from_headers(OURS | {"x-replay-attempts": 3}, dead_queue=QUEUE).attempts == 8


def test_a_record_of_a_retry_queue_is_no_reason() -> None:
    retried = [death("expired", "recording.commands.retry.5s")]

    assert reason_from_headers({**OURS, "x-death": retried}, dead_queue=QUEUE).by == "worker"


def test_the_time_of_the_first_attempt_survives_replays() -> None:
    found = reason_from_headers(
        {**OURS, "x-replay-first-seen": "2025-01-01T09:00:00Z"}, dead_queue=QUEUE
    )

    assert found.first_seen == NOON.replace(hour=9)


def test_the_reason_is_that_of_the_brokers_latest_record() -> None:
    deaths = [death("rejected"), death("delivery_limit")]

    assert reason_from_headers({"x-death": deaths}, dead_queue=QUEUE).code == "rejected"


def test_a_time_without_its_offset_is_utc() -> None:
    naive = NOON.replace(tzinfo=None)

    assert reason_from_headers({"x-last-seen": naive}, dead_queue=QUEUE).last_seen == NOON


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_beyond_the_calendar_in_utc_is_unknown(time: str) -> None:
    headers = {"x-replay-first-seen": time, "x-last-seen": datetime.fromisoformat(time)}
    found = reason_from_headers(headers, dead_queue=QUEUE)

    assert (found.first_seen, found.last_seen) == (None, None)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*OURS, "x-death", "x-replay-first-seen"])


# The first examples are slow to draw on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ANYTHING))
def test_no_header_makes_reading_fail(headers: dict[str, Any]) -> None:
    assert reason_from_headers(headers, dead_queue=QUEUE).code
