"""What the headers of a dead letter tell, whoever wrote them."""

from datetime import UTC, datetime
from typing import Any

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


def test_a_worker_tells_why_and_when_it_gave_up() -> None:
    found = reason_from_headers(OURS, dead_queue=QUEUE)

    assert (found.by, found.code, found.attempts) == ("worker", "crashed", 5)
    assert (found.last_seen, found.first_seen) == (NOON, NOON.replace(hour=11))


def test_the_brokers_own_burial_comes_after_a_workers_words() -> None:
    found = reason_from_headers({**OURS, "x-death": [death()]}, dead_queue=QUEUE)

    assert (found.by, found.code, found.last_seen) == ("broker", "delivery_limit", NOON)
    assert found.first_seen == NOON.replace(hour=11)


def test_what_left_a_retry_queue_was_not_buried_by_it() -> None:
    retried = [death("expired", "recording.commands.retry.5s")]

    assert reason_from_headers({**OURS, "x-death": retried}, dead_queue=QUEUE).by == "worker"


def test_when_it_was_first_seen_outlives_its_replays() -> None:
    found = reason_from_headers(
        {**OURS, "x-replay-first-seen": "2025-01-01T09:00:00Z"}, dead_queue=QUEUE
    )

    assert found.first_seen == NOON.replace(hour=9)


def test_the_latest_account_counts() -> None:
    deaths = [death("rejected"), death("delivery_limit")]

    assert reason_from_headers({"x-death": deaths}, dead_queue=QUEUE).code == "rejected"


def test_a_time_without_its_offset_is_utc() -> None:
    naive = NOON.replace(tzinfo=None)

    assert reason_from_headers({"x-last-seen": naive}, dead_queue=QUEUE).last_seen == NOON


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*OURS, "x-death", "x-replay-first-seen"])


# The first examples are slow to draw on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ANYTHING))
def test_no_header_stops_the_reading(headers: dict[str, Any]) -> None:
    assert reason_from_headers(headers, dead_queue=QUEUE).code
