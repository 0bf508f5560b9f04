"""Frames become deliveries with a body, properties and the time of sending."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.aiormq.delivery_decoder import (
    BODY,
    DELIVER,
    HEADER,
    METHOD,
    DeliveryAssembler,
)
from worker.broker.messages import Delivery
from worker.broker.properties import MESSAGE_ID

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class AssembledDeliveries(list[tuple[int, Delivery]]):
    """The deliveries that are assembled from frames, each with its tag."""

    def __init__(self) -> None:
        self.assembly = DeliveryAssembler(lambda tag, delivery: self.append((tag, delivery)))

    def announced(self, tag: int = 1, *, redelivered: bool = False) -> "AssembledDeliveries":
        announced = Basic.Deliver(
            consumer_tag="tag",
            delivery_tag=tag,
            redelivered=redelivered,
            exchange="x",
            routing_key="key",
        )
        assert self.assembly.accept(METHOD, DELIVER + announced.marshal())
        return self

    def with_header(
        self, size: int, properties: Basic.Properties | None = None
    ) -> "AssembledDeliveries":
        header = ContentHeader(body_size=size, properties=properties)
        assert self.assembly.accept(HEADER, header.marshal())
        return self

    def with_body(self, *parts: bytes) -> "AssembledDeliveries":
        for part in parts:
            assert self.assembly.accept(BODY, part)
        return self


def without_bytes(assembled: AssembledDeliveries) -> list[tuple[int, Delivery]]:
    return [(tag, replace(delivery, properties={})) for tag, delivery in assembled]


def delivered(body: bytes, **fields: Any) -> Delivery:
    return Delivery(body=body, exchange="x", routing_key="key", **fields)


def test_a_delivery_is_complete_with_the_last_part_of_its_body() -> None:
    assembled = (
        AssembledDeliveries().announced(7, redelivered=True).with_header(4).with_body(b"ab", b"c")
    )
    assert assembled == []
    assembled.with_body(b"d")
    assert without_bytes(assembled) == [(7, delivered(b"abcd", redelivered=True))]


def test_a_delivery_without_a_body_is_complete_with_its_header() -> None:
    assert without_bytes(AssembledDeliveries().announced().with_header(0)) == [(1, delivered(b""))]


def test_a_delivery_has_its_properties() -> None:
    properties = Basic.Properties(
        content_type="application/json",
        message_id="m",
        correlation_id="c",
        reply_to="r",
        headers={"a": 1},
    )
    ((_, delivery),) = without_bytes(AssembledDeliveries().announced().with_header(0, properties))
    assert delivery == delivered(
        b"",
        content_type="application/json",
        message_id="m",
        correlation_id="c",
        reply_to="r",
        headers={"a": 1},
    )


def test_a_delivery_has_no_properties_of_the_one_before() -> None:
    assembled = (
        AssembledDeliveries()
        .announced(1)
        .with_header(1, Basic.Properties(message_id="m"))
        .with_body(b"a")
    )
    assembled.announced(2).with_header(1).with_body(b"b")
    assert without_bytes(assembled)[1:] == [(2, delivered(b"b"))]


def test_a_property_that_cannot_be_decoded_does_not_cost_the_others() -> None:
    assembled = AssembledDeliveries().announced()
    properties = Basic.Properties(message_id="mm", correlation_id="c", reply_to="r")
    header = ContentHeader(body_size=1, properties=properties).marshal()
    assert assembled.assembly.accept(HEADER, header.replace(b"mm", b"\xff\xfe"))
    ((_, delivery),) = assembled.with_body(b"b")
    assert (delivery.message_id, delivery.correlation_id, delivery.reply_to) == (None, "c", "r")
    assert delivery.properties[MESSAGE_ID] == b"\x02\xff\xfe"


def test_bytes_of_a_routing_key_that_are_no_utf8_are_left_out() -> None:
    assembled = AssembledDeliveries()
    method = (
        (60).to_bytes(2, "big") * 2 + b"\x01t" + (1).to_bytes(8, "big") + b"\x00\x01x\x03a\xffb"
    )
    assert assembled.assembly.accept(METHOD, method)
    ((_, delivery),) = assembled.with_header(0)
    assert (delivery.exchange, delivery.routing_key) == ("x", "ab")


@pytest.mark.parametrize("kind", [METHOD, HEADER, BODY])
def test_frames_that_belong_to_no_delivery_are_left_to_the_library(kind: int) -> None:
    assembled = AssembledDeliveries()
    assert not assembled.assembly.accept(kind, b"\x00\x3c\x00\x0b")
    assembled.announced().with_header(0)
    assert not assembled.assembly.accept(kind, b"\x00\x3c\x00\x0b")


def test_an_answer_between_two_frames_of_a_delivery_is_left_to_the_library() -> None:
    assembled = AssembledDeliveries().announced()
    assert not assembled.assembly.accept(METHOD, b"\x00\x3c\x00\x0b")
    assert len(assembled.with_header(0)) == 1


# When it was sent


def sent_at(timestamp: datetime | None = None, **headers: Any) -> float | None:
    properties = Basic.Properties(timestamp=timestamp, headers=headers or None)
    ((_, delivery),) = AssembledDeliveries().announced().with_header(0, properties)
    return delivery.sent_at


def test_the_publishers_timestamp_is_the_time_of_sending() -> None:
    assert sent_at(NOON) == NOON.timestamp()


def test_the_brokers_timestamp_comes_first_because_it_has_milliseconds() -> None:
    timestamp_ms = int(NOON.timestamp() * 1000) + 250
    assert sent_at(NOON, timestamp_in_ms=timestamp_ms) == NOON.timestamp() + 0.25


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62, "soon", None])
def test_a_broker_timestamp_that_is_no_time_is_ignored(timestamp: object) -> None:
    assert sent_at(NOON, timestamp_in_ms=timestamp) == NOON.timestamp()


def test_a_command_without_a_timestamp_has_no_time_of_sending() -> None:
    assert sent_at() is None
