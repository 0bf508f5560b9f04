"""The publisher's properties of a command, byte for byte, on a real RabbitMQ."""

import asyncio
import struct
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBench,
    BrokerBenches,
    acknowledge,
    declare_all,
)
from tests.property_strategies import BROKER_TABLES
from tests.raw_properties import RawProperties, long, publish_raw, short
from worker.broker.admin.dead_letter import DeadLetter
from worker.broker.admin.dead_letter_queue import open_dead_letter_queue
from worker.broker.admin.one_shot import connect
from worker.broker.messages import Ack, Dead, Delivery, Outgoing, Retry, Settlement
from worker.broker.properties import (
    APP_ID,
    CLUSTER_ID,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CORRELATION_ID,
    DELIVERY_MODE,
    EXPIRATION,
    FLAGS,
    HEADERS,
    MESSAGE_ID,
    PRIORITY,
    REPLY_TO,
    TIMESTAMP,
    TYPE,
    USER_ID,
    TableEntry,
    identifier,
    joined_properties,
    joined_table,
    split_table,
)
from worker.broker.publisher import Publisher
from worker.broker.settlement import Settler

MICROSECONDS: Final = struct.pack(">Q", 1_790_000_000_000_000)
ANCIENT: Final = datetime(2001, 1, 1, tzinfo=UTC).isoformat()


EVERY_TYPE: Final[list[TableEntry]] = [
    (b"true", b"t\x01"),
    (b"octet", b"b\xff"),
    (b"unsigned octet", b"B\xff"),
    (b"short", b"s\x80\x00"),
    (b"unsigned short", b"u\xff\xff"),
    (b"int", b"I\x80\x00\x00\x00"),
    (b"unsigned int", b"i\xff\xff\xff\xff"),
    (b"long", b"l\x80" + bytes(7)),
    (b"float", b"f" + struct.pack(">f", 0.1)),
    (b"double", b"d" + struct.pack(">d", 0.1)),
    (b"decimal", b"D\x02\x00\x00\x01\x00"),
    (b"time", b"T" + MICROSECONDS),
    (b"no time", b"T" + b"\xff" * 8),
    (b"void", b"V"),
    (b"text", b"S" + long("čas".encode())),
    (b"no text", b"S" + long(b"\xff\xfe\x00")),
    (b"bytes", b"x" + long(bytes(range(256)))),
    (b"array", b"A" + long(b"T" + MICROSECONDS + b"V" + b"S" + long(b"\xff"))),
    (b"table", b"F" + long(short(b"inner") + b"F" + long(short(b"d") + b"D\x00\xff\xff\xff\xff"))),
    (b"na\xffme", b"I\x00\x00\x00\x01"),
    (b"", b"t\x00"),
]

PROPERTIES: Final = {
    CONTENT_TYPE: short(b"application/json"),
    CONTENT_ENCODING: short(b"identity"),
    HEADERS: joined_table(EVERY_TYPE),
    DELIVERY_MODE: b"\x01",
    PRIORITY: b"\x07",
    CORRELATION_ID: short(b"corr\xff"),
    REPLY_TO: short(b"answers"),
    EXPIRATION: short(b"600000"),
    MESSAGE_ID: short(b"id\xff"),
    TIMESTAMP: MICROSECONDS,
    TYPE: short("příkaz".encode()),
    USER_ID: short(b"guest"),
    APP_ID: short(b"billing"),
    CLUSTER_ID: short(b"c1"),
}


def retry_once_then(end: Settlement) -> Callable[[Delivery], Awaitable[Settlement]]:
    async def settle(delivery: Delivery) -> Settlement:
        if delivery.attempts:
            return end
        return Retry(delay_seconds=0.05, code="busy", reason="not now")

    return settle


DEAD: Final = Dead(code="bad", reason="it is bad")


async def letter_of(
    amqp_url: str, bench: BrokerBench, *, replay: bool = False, eventually: Eventually
) -> DeadLetter:
    """The only dead letter."""

    async def is_there() -> bool:
        return await bench.count(bench.topology.dead_queue) == 1

    await eventually(is_there)
    async with (
        connect(amqp_url, "test") as connection,
        open_dead_letter_queue(connection, bench.topology, timeout=10) as queue,
    ):
        letter = queue.next()
        assert letter is not None
        if replay:
            await queue.replay(letter)
        return letter


def entries(properties: Any) -> list[TableEntry]:
    return split_table(properties[HEADERS])[0]


# Every property survives


async def test_every_property_survives_retries_dead_letters_and_replays_byte_for_byte(
    benches: BrokerBenches, amqp_url: str, eventually: Eventually
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    async with bench.running():
        await bench.send_raw(b"{}", RawProperties(joined_properties(PROPERTIES)))
        first = await letter_of(amqp_url, bench, replay=True, eventually=eventually)
        await eventually(lambda: len(bench.deliveries) == 4)
        second = await letter_of(amqp_url, bench, eventually=eventually)
    as_header = {HEADERS, EXPIRATION, DELIVERY_MODE}
    published, retried, replayed, _ = bench.deliveries
    expected = {flag: value for flag, value in PROPERTIES.items() if flag not in as_header}
    for copy in (published, retried, first):
        assert {
            name: value for name, value in copy.properties.items() if name not in as_header
        } == expected
        assert set(entries(copy.properties)) >= set(EVERY_TYPE)
    for copy in (replayed, second):  # a replay needs an id that can be read
        others = {
            name: value
            for name, value in copy.properties.items()
            if name not in as_header | {MESSAGE_ID}
        }
        assert others == {name: value for name, value in expected.items() if name != MESSAGE_ID}
        assert set(entries(copy.properties)) >= set(EVERY_TYPE)
    assert first.headers["x-original-expiration"] == "600000"
    assert retried.properties[DELIVERY_MODE] == b"\x02"


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables=st.lists(BROKER_TABLES, min_size=40, max_size=40))
async def test_headers_of_any_type_survive_retries_and_dead_letters(
    benches: BrokerBenches,
    amqp_url: str,
    eventually: Eventually,
    tables: list[list[TableEntry]],
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    sent = {uuid.uuid4().bytes: set(table) for table in tables}

    async def all_are_dead() -> bool:
        return await bench.count(bench.topology.dead_queue) == len(tables)

    async with bench.running():
        for body, table in sent.items():
            wire = joined_properties({HEADERS: joined_table(table)})
            await bench.send_raw(body, RawProperties(wire))
        await eventually(all_are_dead)
        assert bench.connections == 1
    for delivery in bench.deliveries:
        assert set(entries(delivery.properties)) >= sent[delivery.body]
    async with (
        connect(amqp_url, "test") as connection,
        open_dead_letter_queue(connection, bench.topology, timeout=10) as queue,
    ):
        while letter := queue.next():
            assert set(entries(letter.properties)) >= sent[letter.body]
            await queue.drop(letter)


@pytest.mark.parametrize("flag", FLAGS)
async def test_one_odd_property_does_not_cost_the_others(
    benches: BrokerBenches, eventually: Eventually, flag: int
) -> None:
    odd = {
        HEADERS: joined_table([(b"odd", b"T" + b"\xff" * 8), *EVERY_TYPE]),
        TIMESTAMP: b"\xff" * 8,
        PRIORITY: b"\xff",
        DELIVERY_MODE: b"\x01",
        EXPIRATION: short(b"0099999"),
        USER_ID: short(b"guest"),
    }.get(flag, short(b"\xff\xfe\x00" * 85))
    good = {
        CORRELATION_ID: short(b"corr-1"),
        REPLY_TO: short(b"answers"),
        MESSAGE_ID: short(b"m"),
        CONTENT_TYPE: short(b"application/json"),
        HEADERS: joined_table([(b"traceparent", b"S" + long(b"00-1-2-00"))]),
    }
    bench = await benches.bench(retry_once_then(Ack()))
    async with bench.running():
        await bench.send_raw(b"{}", RawProperties(joined_properties(good | {flag: odd})))
        await eventually(lambda: len(bench.deliveries) == 2)
        assert bench.connections == 1
    for delivery in bench.deliveries:
        decoded = {
            CORRELATION_ID: delivery.correlation_id,
            REPLY_TO: delivery.reply_to,
            MESSAGE_ID: delivery.message_id,
            CONTENT_TYPE: delivery.content_type,
            HEADERS: delivery.trace.get("traceparent"),
        }
        expected = {
            CORRELATION_ID: "corr-1",
            REPLY_TO: "answers",
            MESSAGE_ID: "m",
            CONTENT_TYPE: "application/json",
            HEADERS: "00-1-2-00",
        }
        assert decoded == expected | ({flag: None} if flag in expected else {})


async def test_headers_that_fill_a_frame_are_kept_as_far_as_there_is_room(
    benches: BrokerBenches, amqp_url: str, eventually: Eventually
) -> None:
    many = [(b"%05d" % number, b"I" + struct.pack(">I", number)) for number in range(11_000)]
    bench = await benches.bench(retry_once_then(DEAD))
    async with bench.running():
        await bench.send_raw(b"{}", RawProperties(joined_properties({HEADERS: joined_table(many)})))
        letter = await letter_of(amqp_url, bench, eventually=eventually)
    sent = set(many)
    kept = [entry for entry in entries(letter.properties) if entry in sent]
    assert 5000 < len(kept) < 11_000
    assert letter.headers["x-dropped-headers"] == 11_000 - len(kept)


@pytest.mark.parametrize("message_id", [b"\xff\xfe", b"\xff" * 255, b"ok"])
async def test_a_copy_that_no_queue_accepts_is_noticed_with_any_properties(
    benches: BrokerBenches, message_id: bytes
) -> None:
    original = {MESSAGE_ID: short(message_id), HEADERS: joined_table(EVERY_TYPE)}
    copy = Outgoing(
        exchange="",
        routing_key="no-such-queue",
        body=b"{}",
        message_id=identifier(original),
        original=original,
        mandatory=True,
    )
    bench = await benches.bench(acknowledge)
    async with bench.running():
        assert await bench.publisher.publish(copy) is False


async def test_an_id_that_the_worker_made_up_for_a_copy_is_not_the_commands(
    benches: BrokerBenches, amqp_url: str, eventually: Eventually
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    async with bench.running():
        await bench.send_raw(b"{}", RawProperties(b"\0\0"))
        letter = await letter_of(amqp_url, bench, eventually=eventually)
    assert [delivery.message_id for delivery in bench.deliveries] == [None, None]
    assert (letter.message_id, letter.headers["x-message-id-added"]) == (None, True)


# The property user_id


@pytest.fixture
def other_user_url(rabbitmq: RabbitMQNode, names_prefix: str) -> str:
    rabbitmq.add_user(names_prefix, "secret")
    return rabbitmq.amqp_url.replace("guest:guest", f"{names_prefix}:secret")


async def test_the_user_id_of_another_user_is_kept_as_a_header(
    benches: BrokerBenches,
    amqp_url: str,
    other_user_url: str,
    names_prefix: str,
    eventually: Eventually,
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    async with bench.running():
        wire = joined_properties({USER_ID: short(names_prefix.encode())})
        commands = bench.topology.exchange("commands")
        await publish_raw(other_user_url, commands, "some.key", b"{}", wire)
        letter = await letter_of(amqp_url, bench, replay=True, eventually=eventually)
        await eventually(lambda: len(bench.deliveries) == 4)
    assert USER_ID not in letter.properties
    assert letter.headers["x-original-user-id"] == names_prefix
    assert bench.connections == 1


class MistakenPublisher(Publisher):
    """A publisher whose URL has another user name than the broker knows, as with OAuth."""

    mistaken_user = ""

    @property
    def user(self) -> str | None:
        return self.mistaken_user


async def test_a_copy_goes_without_the_user_id_if_the_broker_refuses_it(
    benches: BrokerBenches, amqp_url: str, names_prefix: str, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    publisher = MistakenPublisher(bench.publishing, bench.topology, timeout=5.0)
    publisher.mistaken_user = names_prefix
    settler = Settler(publisher, bench.topology, now=time.time, on_dead_letter_refused=lambda: None)
    properties = {USER_ID: short(names_prefix.encode()), MESSAGE_ID: short(b"m")}
    delivery = Delivery(body=b"{}", routing_key="some.key", properties=properties)
    running = asyncio.create_task(bench.publishing.run(publisher.session))
    await publisher.wait_ready()
    await settler.settle(delivery, DEAD)
    letter = await letter_of(amqp_url, bench, eventually=eventually)
    running.cancel()
    assert letter.headers["x-original-user-id"] == names_prefix


# Routing headers


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_copies_are_sent_to_no_other_queue(
    benches: BrokerBenches, amqp_url: str, names_prefix: str, header: str, eventually: Eventually
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    channel = await bench.raw.channel()
    other = await channel.declare_queue(f"{names_prefix}.other", exclusive=True)
    async with bench.running():
        await other.bind(bench.topology.exchange("commands"), other.name)
        await bench.send(b"{}", message_id="m", headers={header: [other.name, "some.other.key"]})
        await letter_of(amqp_url, bench, replay=True, eventually=eventually)
        await eventually(lambda: len(bench.deliveries) == 4)
        letter = await letter_of(amqp_url, bench, eventually=eventually)
    assert not {"CC", "BCC"} & letter.headers.keys()
    assert await bench.count(other.name) == 1, "the message that the publisher sent there"


# The account that workers keep


FORGED: Final[dict[str, Any]] = {
    "x-first-seen": ANCIENT,
    "x-attempts": 1_000_000,
    "x-returned": 1_000_000,
    "x-delivery-count": 1_000_000,
    "x-original-routing-key": "forged",
    "x-original-user-id": "admin",
    "x-dropped-headers": 9,
    "x-reason-code": "forged",
    "x-message-id-added": True,
}


def death_in(queue: str) -> dict[str, Any]:
    return {
        "queue": queue,
        "reason": "expired",
        "count": 1,
        "exchange": "",
        "routing-keys": [queue],
        "time": datetime(2026, 1, 1, tzinfo=UTC),
    }


def assert_unaccounted(delivery: Delivery, *, key: str = "some.key") -> None:
    assert (delivery.first_seen, delivery.attempts, delivery.redelivery_count) == (None, 0, 0)
    assert (delivery.routing_key, delivery.message_id) == (key, "m")
    assert "x-original-user-id" not in delivery.headers


@pytest.mark.parametrize("has_death", [False, True])
async def test_the_account_in_a_message_to_the_exchange_is_not_trusted(
    benches: BrokerBenches, amqp_url: str, has_death: bool, eventually: Eventually
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    deaths = [death_in(bench.topology.retry_queue(1.0)), death_in(bench.topology.command_queue)]
    async with bench.running():
        headers = FORGED | ({"x-death": deaths} if has_death else {})
        before = datetime.now(UTC) - timedelta(seconds=1)
        await bench.send(b"{}", message_id="m", headers=headers)
        letter = await letter_of(amqp_url, bench, eventually=eventually)
    assert_unaccounted(bench.deliveries[0])
    assert bench.deliveries[1].attempts == 1
    assert (letter.reason.attempts, letter.reason.code) == (2, "bad")
    assert letter.reason.first_seen is not None
    assert letter.reason.first_seen > before
    assert (letter.routing_key, letter.message_id) == ("some.key", "m")
    assert not {"x-original-user-id", "x-dropped-headers"} & letter.headers.keys()


async def test_the_account_in_a_message_to_the_queue_itself_is_not_trusted(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        channel = await (await bench.raw.channel()).get_underlay_channel()
        queue = bench.topology.command_queue
        properties = Basic.Properties(message_id="m", headers=FORGED)
        await channel.basic_publish(b"{}", exchange="", routing_key=queue, properties=properties)
        await eventually(lambda: bench.deliveries)
    assert_unaccounted(bench.deliveries[0], key=queue)


async def test_the_broker_replaces_a_forged_count_of_deliveries(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    await declare_all(bench)
    await bench.send(b"{}", message_id="m", headers=FORGED)
    channel = await bench.raw.channel()
    queue = await channel.get_queue(bench.topology.command_queue)
    await (await queue.get(timeout=10)).nack(requeue=True)
    async with bench.running():
        await eventually(lambda: bench.deliveries)
    assert bench.deliveries[0].redelivery_count == 1


async def test_a_time_in_the_future_is_corrected_with_the_next_copy(
    benches: BrokerBenches, amqp_url: str, eventually: Eventually
) -> None:
    bench = await benches.bench(retry_once_then(DEAD))
    async with bench.running():
        # Directly into a retry queue: nothing distinguishes it from a worker's copy.
        channel = await (await bench.raw.channel()).get_underlay_channel()
        headers: dict[str, Any] = {"x-first-seen": "9999-12-31T23:59:59-14:00", "x-attempts": 1}
        await channel.basic_publish(
            b"{}",
            exchange="",
            routing_key=bench.topology.retry_queue(0.05),
            properties=Basic.Properties(message_id="m", headers=headers),
        )
        letter = await letter_of(amqp_url, bench, eventually=eventually)
    assert letter.reason.first_seen is not None
    assert letter.reason.first_seen <= datetime.now(UTC)
