"""The published description of dead letters knows every header that is put on them."""

from typing import Any, Final

from recording_schemas.asyncapi import document
from worker.broker.admin.dead_letter import REPLAYED_AT, REPLAYS
from worker.broker.admin.dead_letter_reason import ATTEMPTS_BEFORE_REPLAY, FIRST_SEEN_BEFORE_REPLAY
from worker.broker.message_copy import copy_of
from worker.broker.messages import Delivery
from worker.broker.properties import EXPIRATION, HEADERS, USER_ID, counted

PROPERTIES: Final = {
    HEADERS: counted(b"\x06theirs?"),
    USER_ID: b"\x07billing",
    EXPIRATION: b"\x0260",
}
"""A header of an unknown type, and properties that no copy may have. There is no message id."""


def described() -> dict[str, Any]:
    headers: dict[str, Any] = document("0")["components"]["messages"]["dead_letter"]["headers"]
    return headers


def test_every_header_that_a_worker_or_a_replay_puts_on_a_dead_letter_is_described() -> None:
    delivery = Delivery(body=b"{}", routing_key="x", properties=PROPERTIES)
    buried = copy_of(delivery, code="invalid_field", reason="why", now=0.0).headers
    replayed = {REPLAYS, REPLAYED_AT, FIRST_SEEN_BEFORE_REPLAY, ATTEMPTS_BEFORE_REPLAY}
    assert described()["properties"].keys() == buried.keys() | replayed
    assert set(described()["required"]) <= buried.keys()
