"""Message properties that no well-behaved client sends."""

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBenches,
    acknowledge,
)
from tests.raw_properties import RawProperties
from worker.broker.messages import Dead, Delivery, Retry, Settlement

HEADERS, CORRELATION_ID = b"\x20\x00", b"\x04\x00"


UNREADABLE_PROPERTIES: list[Basic.Properties] = [
    RawProperties(CORRELATION_ID + b"\x02\xff\xfe"),
    RawProperties(HEADERS + b"\x00\x00\x00\x03" + b"\x01\xffV"),
    RawProperties(HEADERS + b"\x00\x00\x00\x0b" + b"\x01aT" + b"\xff" * 8),
]


HOSTILE_PROPERTIES: list[Basic.Properties] = [
    *UNREADABLE_PROPERTIES,
    Basic.Properties(),
    Basic.Properties(headers={"x-attempts": 2**63 - 1}),
    Basic.Properties(headers={"x-attempts": -5, "x-first-seen": [1], "x-reason": {"a": {}}}),
    Basic.Properties(headers={"x-attempts": "many"}),
    Basic.Properties(headers={"x-original-routing-key": "k" * 300}),
    Basic.Properties(headers={"x-original-routing-key": 7, "traceparent": ["x"]}),
    Basic.Properties(headers={"a": None, "b": Decimal("1.5"), "c": bytearray(b"\xff")}),
    Basic.Properties(headers={"d": datetime(2026, 1, 1, tzinfo=UTC), "f": 1e308 / 1e300}),
    Basic.Properties(headers={"huge": "h" * 130_000}),
    Basic.Properties(headers={f"many-{number}": number for number in range(5000)}),
    Basic.Properties(message_id="m" * 255, correlation_id="c" * 255, reply_to="r" * 255),
    Basic.Properties(message_id="\x00", correlation_id="\x00", reply_to="\x00"),
    Basic.Properties(content_type="\n", content_encoding="gzip", message_type="?" * 200),
    Basic.Properties(priority=200, user_id="guest", app_id="a"),
    Basic.Properties(timestamp=datetime(1970, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("end", ["retry", "dead"])
async def test_a_message_with_any_properties_can_be_retried_and_dead_lettered(
    benches: BrokerBenches, eventually: Eventually, end: str
) -> None:
    tried: set[bytes] = set()

    async def settle(delivery: Delivery) -> Settlement:
        if end == "dead" or delivery.body in tried:
            return Dead(code="bad", reason="it is bad" * 300)
        tried.add(delivery.body)
        return Retry(delay_seconds=0.05, code="busy", reason="not now" * 300)

    bench = await benches.bench(settle)
    async with bench.running():
        for number, properties in enumerate(HOSTILE_PROPERTIES):
            await bench.send_raw(f"{number}".encode(), properties)
            dead = await eventually(
                lambda: bench.get(bench.topology.dead_queue),
                description=f"dead letter of properties number {number}",
            )
            assert dead is not None
            assert dead.body == f"{number}".encode()
            assert dead.headers["x-reason-code"] == "bad"
        assert bench.connections == 1


async def test_a_routing_key_that_is_not_utf8_does_not_stop_the_consumer(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        opened = await bench.raw.channel(publisher_confirms=False)
        channel = await opened.get_underlay_channel()
        assert isinstance(channel, Channel)
        exchange = bench.topology.exchange("commands").encode()
        publish = struct.pack(">HHHB", 60, 40, 0, len(exchange)) + exchange + b"\x03a\xffb\x00"
        frames = struct.pack(">BHI", 1, channel.number, len(publish)) + publish + b"\xce"
        frames += marshal(ContentHeader(body_size=4), channel.number)
        frames += marshal(ContentBody(b"body"), channel.number)
        await channel.write_queue.put(ChannelFrame(frames, should_close=False))
        await eventually(lambda: bench.bodies == [b"body"])
        assert bench.deliveries[0].routing_key == "ab"
