"""Why the broker dead-lettered a message, read from headers that a publisher may have written."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.broker.deaths import latest_death, read_dead_letter
from worker.broker.messages import Delivery

QUEUE = "recording.commands"


def death(reason: object = "expired", queue: object = QUEUE) -> dict[str, Any]:
    return {"queue": queue, "reason": reason, "count": 1}


def letter(**headers: Any) -> Delivery:
    return Delivery(
        body=b"{}", routing_key="x", exchange="recording.dead-letter", headers=dict(headers)
    )


@pytest.mark.parametrize("reason", ["expired", "maxlen", "rejected", "delivery_limit"])
def test_a_letter_of_the_broker_is_marked_with_its_reason(reason: str) -> None:
    read = read_dead_letter(letter(**{"x-death": [death(reason)]}), QUEUE)
    assert read.dead_reason == reason


@pytest.mark.parametrize("reason", [None, 7, "made up"])
def test_an_undocumented_reason_is_unknown(reason: object) -> None:
    assert read_dead_letter(letter(**{"x-death": [death(reason)]}), QUEUE).dead_reason == "unknown"


def test_the_latest_record_of_the_command_queue_counts() -> None:
    deaths = [death("expired"), death("expired", f"{QUEUE}.retry.5s"), death("rejected")]
    assert read_dead_letter(letter(**{"x-death": deaths}), QUEUE).dead_reason == "expired"


def test_a_letter_of_a_worker_is_not_marked_and_a_mark_of_a_publisher_is_ignored() -> None:
    assert read_dead_letter(letter(**{"x-reason-code": "not_json"}), QUEUE).dead_reason is None
    assert read_dead_letter(letter(**{"x-dead-lettered": "expired"}), QUEUE).dead_reason is None


def test_a_record_of_another_queue_is_no_death_of_a_command() -> None:
    deaths = [death(queue=f"{QUEUE}.retry.5s"), death(queue="another")]
    assert read_dead_letter(letter(**{"x-death": deaths}), QUEUE).dead_reason is None


def test_a_letter_whose_records_are_too_large_to_read_is_still_marked() -> None:
    assert read_dead_letter(letter(**{"x-death": b"A..."}), QUEUE).dead_reason == "unknown"


ANYTHING = st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text() | st.none())


@settings(deadline=None)
@given(ANYTHING | st.lists(st.dictionaries(st.sampled_from(["queue", "reason"]), ANYTHING)))
def test_no_header_makes_reading_fail(deaths: Any) -> None:
    latest_death({"x-death": deaths}, QUEUE)
    read_dead_letter(letter(**{"x-death": deaths}), QUEUE)
