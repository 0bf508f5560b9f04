"""When a command was sent, as far as its message tells."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.consumer import _delivery

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sent_at(timestamp: datetime | None = None, **headers: Any) -> float | None:
    properties = Basic.Properties(timestamp=timestamp, headers=headers or None)
    message = DeliveredMessage(
        delivery=Basic.Deliver(routing_key="key"),
        header=ContentHeader(body_size=0, properties=properties),
        body=b"",
        channel=None,  # type: ignore[arg-type]  # nothing is asked of it
    )
    return _delivery(message).sent_at


def test_the_publishers_timestamp_says_when_a_command_was_sent() -> None:
    assert sent_at(NOON) == NOON.timestamp()


def test_the_brokers_own_note_is_preferred_because_it_has_milliseconds() -> None:
    noted = int(NOON.timestamp() * 1000) + 250
    assert sent_at(NOON, timestamp_in_ms=noted) == NOON.timestamp() + 0.25


@pytest.mark.parametrize("noted", [-1, 0, 2**62, "soon", None, 1.5])
def test_a_note_that_is_no_time_is_passed_over(noted: object) -> None:
    assert sent_at(NOON, timestamp_in_ms=noted) == NOON.timestamp()


def test_a_command_that_does_not_say_when_it_was_sent_has_no_time() -> None:
    assert sent_at() is None
