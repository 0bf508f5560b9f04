"""Topology, publishing, consuming and settling, on a real RabbitMQ, with connections that break."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import msgspec
import pytest
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.waiting import Eventually
from tests.fault.tcp_proxy import TcpProxy
from tests.integration.amqp_frame_proxy import AmqpFrameProxy
from worker.broker.connection import BrokerConnection, broker_call
from worker.broker.consumer import Consumer
from worker.broker.messages import Ack, Dead, Delivery, Outgoing, Retry, Settlement
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology, declare, verify
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

Decide = Callable[[Delivery], Awaitable[Settlement]]


class WatchedConsumer(Consumer):
    """A consumer that the broker can be made to forget, without a word to the worker.

    `takes_no_more` is set when a drain has come so far that the broker delivers nothing any more.
    """

    def __init__(self, *rooms: Any, **about: Any) -> None:
        super().__init__(*rooms, **about)
        self.takes_no_more = asyncio.Event()

    async def _start_consumer(self, channel: AbstractChannel, queue: AbstractQueue) -> str:
        self._last = queue, await super()._start_consumer(channel, queue)
        return self._last[1]

    async def be_forgotten(self) -> None:
        queue, tag = self._last
        await queue.cancel(tag)

    async def _round_trip(self, channel: AbstractChannel) -> None:
        await super()._round_trip(channel)  # the first comes after the broker agreed to cancel
        self.takes_no_more.set()


class WatchedPublisher(Publisher):
    """A publisher that tells when somebody has begun to wait until it is ready."""

    def __init__(self, *rooms: Any, **about: Any) -> None:
        super().__init__(*rooms, **about)
        self.is_waited_for = asyncio.Event()

    async def wait_ready(self) -> None:
        self.is_waited_for.set()
        await super().wait_ready()


class Commands:
    """The broker room at work, and a connection of the test's own to look at it from outside."""

    def __init__(
        self, url: str, raw: AbstractConnection, topology: Topology, decide: Decide, timeout: float
    ) -> None:
        self.raw = raw
        self.topology = topology
        self.seen: list[Delivery] = []
        self._decide = decide
        self._url = url
        self._connections = 0
        self.publishing = BrokerConnection(lambda: url, "publish")
        self.consuming = BrokerConnection(self._url_of_another_connection, "consume")
        self.publisher = Publisher(self.publishing, topology, timeout=timeout)
        self.consumer = WatchedConsumer(
            self.consuming,
            topology,
            self.publisher,
            self._handle,
            prefetch=10,
            check_interval=0.1,
        )

    @property
    def connections(self) -> int:
        """How many connections consuming has taken so far."""
        return self._connections

    def _url_of_another_connection(self) -> str:
        self._connections += 1
        return self._url

    async def _handle(self, delivery: Delivery) -> Settlement:
        self.seen.append(delivery)
        return await self._decide(delivery)

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for one in self.seen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Commands"]:
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(self.publishing.run(self.publisher.session))
            self.taking = group.create_task(self.consumer.run())
            try:
                async with asyncio.timeout(20):
                    await self.publisher.wait_ready()
                yield self
            finally:
                publishing.cancel()
                self.taking.cancel()

    async def running_to_its_end(self) -> None:
        async with asyncio.timeout(20), self.running():
            await asyncio.wait([self.taking])

    async def send(self, body: bytes, **properties: Any) -> None:
        await self.send_raw(body, Basic.Properties(**properties))

    async def send_raw(self, body: bytes, properties: Basic.Properties) -> None:
        channel = await (await self.raw.channel()).get_underlay_channel()
        await channel.basic_publish(
            body,
            exchange=self.topology.exchange("commands"),
            routing_key="some.key",
            properties=properties,
            mandatory=True,
        )
        await channel.close()

    async def get(self, queue: str) -> AbstractIncomingMessage | None:
        channel = await self.raw.channel()
        found = await (await channel.get_queue(queue)).get(fail=False, no_ack=True)
        await channel.close()
        return found

    async def count(self, queue: str) -> int | None:
        """Messages that are ready in a queue."""
        channel = await self.raw.channel()
        declared = await channel.declare_queue(queue, passive=True)
        await channel.close()
        return declared.declaration_result.message_count

    async def remove(self) -> None:
        channel = await self.raw.channel()
        for queue in self.topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in self.topology.exchanges:
            await channel.exchange_delete(exchange)
        await channel.close()


class Broker:
    """Makes `Commands` on one broker, behind a proxy if wanted; removes what they declared."""

    def __init__(self, url: str, prefix: str, rooms: AsyncExitStack) -> None:
        self._url = url
        self._prefix = prefix
        self._rooms = rooms

    async def commands(
        self,
        decide: Decide,
        *,
        timeout: float = 5.0,
        through: TcpProxy | AmqpFrameProxy | None = None,
    ) -> Commands:
        raw = await self._rooms.enter_async_context(await aio_pika.connect(self._url))
        topology = Topology(prefix=self._prefix, retry_delays=(0.05, 1.0))
        port = through.port if through else urlsplit(self._url).port
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        made = Commands(url if through else self._url, raw, topology, decide, timeout)
        self._rooms.push_async_callback(made.remove)
        return made

    async def proxy(self) -> TcpProxy:
        return await self._rooms.enter_async_context(TcpProxy(urlsplit(self._url).port or 5672))


@pytest.fixture
async def broker(amqp_url: str, names_prefix: str) -> AsyncIterator[Broker]:
    async with AsyncExitStack() as rooms:
        yield Broker(amqp_url, names_prefix, rooms)


async def acknowledge(_delivery: Delivery) -> Settlement:
    return Ack()


async def declare_all(commands: Commands) -> None:
    async with commands.raw.channel(publisher_confirms=False) as channel:
        await declare(channel, commands.topology)


def event(topology: Topology, body: bytes = b"{}", **more: Any) -> Outgoing:
    fields = {"exchange": topology.exchange("status"), "routing_key": "track.uploaded"} | more
    return Outgoing(body=body, **fields)


# Topology


@asynccontextmanager
async def one_channel(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel(publisher_confirms=False)


async def test_declaring_what_exists_already_changes_nothing(broker: Broker) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.raw.channel(publisher_confirms=False) as channel:
        await declare(channel, commands.topology)
        await declare(channel, commands.topology)
        await verify(channel, commands.topology)


async def test_a_queue_with_other_arguments_is_refused_by_name(broker: Broker) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.raw.channel(publisher_confirms=False) as channel:
        await channel.declare_queue(commands.topology.dead_queue, durable=True)
    async with commands.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=r"x-queue-type|x-max-length") as caught:
            await declare(channel, commands.topology)
    assert commands.topology.dead_queue in str(caught.value)


async def test_an_exchange_of_another_kind_is_refused_by_name(broker: Broker) -> None:
    commands = await broker.commands(acknowledge)
    status = commands.topology.exchange("status")
    async with commands.raw.channel(publisher_confirms=False) as channel:
        await channel.declare_exchange(status, "direct", durable=True)
    async with commands.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=status):
            await declare(channel, commands.topology)


async def test_verifying_names_what_is_missing_and_creates_nothing(broker: Broker) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=commands.topology.exchange("commands")):
            await verify(channel, commands.topology)


async def test_a_worker_that_may_only_verify_does_not_start_without_the_topology(
    broker: Broker, amqp_url: str
) -> None:
    commands = await broker.commands(acknowledge)
    link = BrokerConnection(lambda: amqp_url, "publish")
    publisher = Publisher(link, commands.topology, timeout=5, may_declare=False)
    with pytest.raises(TopologyDiffers, match="WORKER_TOPOLOGY"):
        await link.run(publisher.session)


# Publishing


async def test_a_confirmed_message_is_in_its_queue_with_all_its_properties(
    broker: Broker,
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        taken = await commands.publisher.publish(
            Outgoing(
                exchange="",
                routing_key=commands.topology.dead_queue,
                body=b'{"a":1}',
                message_id="m-1",
                type="t",
                content_type="application/json",
                correlation_id="c-1",
                timestamp=1_800_000_000.0,
                headers={"traceparent": "00-1"},
                mandatory=True,
            )
        )
        found = await commands.get(commands.topology.dead_queue)
    assert taken is True
    assert found is not None
    assert (found.body, found.message_id, found.type) == (b'{"a":1}', "m-1", "t")
    assert (found.correlation_id, found.content_type) == ("c-1", "application/json")
    assert found.headers["traceparent"] == "00-1"
    assert found.timestamp == datetime.fromtimestamp(1_800_000_000, UTC)
    assert found.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_a_mandatory_message_that_no_queue_takes_is_told_and_others_are_confirmed(
    broker: Broker,
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        lost = Outgoing(exchange="", routing_key="nobody", body=b"x", message_id="a")
        told = msgspec.structs.replace(lost, mandatory=True, message_id="b")
        assert await commands.publisher.publish(lost) is True
        assert await commands.publisher.publish(told) is False
        assert await commands.publisher.publish(event(commands.topology)) is True


async def test_of_many_published_together_each_is_told_its_own_end_and_their_order_stays(
    broker: Broker,
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running(), commands.raw.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(commands.topology.exchange("status"), "#")
        few = [event(commands.topology, message_id=f"m-{number}") for number in range(50)]
        lost = Outgoing(exchange="", routing_key="nobody", body=b"x", mandatory=True)
        unfit = Outgoing(exchange="", routing_key="k" * 300, body=b"x")
        large = event(commands.topology, b"l" * 300_000, message_id="large")
        ends = await commands.publisher.publish_all([*few[:25], lost, unfit, *few[25:], large])
        found = [await queue.get(no_ack=True) for _ in range(51)]
    assert "255 bytes" in str(ends.pop(26))
    assert ends == [*[True] * 25, False, *[True] * 26]
    assert [one.message_id for one in found] == [*(one.message_id for one in few), "large"]
    assert found[-1].body == large.body


async def test_a_mandatory_message_without_an_id_that_no_queue_takes_is_told_too(
    broker: Broker,
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        lost = Outgoing(exchange="", routing_key="nobody", body=b"x", mandatory=True)
        assert await commands.publisher.publish(lost) is False


async def test_publishes_of_one_message_id_at_once_all_return(broker: Broker) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        same = event(commands.topology, message_id="same")
        nobody = msgspec.structs.replace(same, exchange="", routing_key="nobody", mandatory=True)
        async with asyncio.timeout(20):
            taken = await asyncio.gather(
                *(commands.publisher.publish(one) for one in [same, nobody] * 10)
            )
    assert taken == [True, False] * 10


async def test_publishes_in_flight_when_the_connection_breaks_fail_and_are_not_cancelled(
    broker: Broker,
) -> None:
    proxy = await broker.proxy()
    commands = await broker.commands(acknowledge, through=proxy)
    async with commands.running():
        proxy.stall()
        waiting = [
            asyncio.create_task(commands.publisher.publish(event(commands.topology)))
            for _ in range(20)
        ]
        await asyncio.sleep(0)
        proxy.cut()
        await proxy.restore()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} <= {BrokerUnavailable, bool}


async def test_a_publish_that_is_never_confirmed_ends_at_its_deadline(broker: Broker) -> None:
    proxy = await broker.proxy()
    commands = await broker.commands(acknowledge, through=proxy, timeout=0.3)
    async with commands.running():
        proxy.stall()
        publishes = (commands.publisher.publish(event(commands.topology)) for _ in range(20))
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*publishes, return_exceptions=True)
        await proxy.restore()
    assert {type(end) for end in ends} == {BrokerUnavailable}


async def test_after_a_missed_confirmation_publishing_works_again_and_readiness_knew(
    broker: Broker, eventually: Eventually
) -> None:
    proxy = await broker.proxy()
    commands = await broker.commands(acknowledge, through=proxy, timeout=0.3)
    async with commands.running():
        proxy.stall()
        with pytest.raises(BrokerUnavailable):
            await commands.publisher.publish(event(commands.topology))
        assert commands.publishing.unavailable_reason is not None
        await proxy.restore()

        async def works() -> bool:
            try:
                return await commands.publisher.publish(event(commands.topology))
            except BrokerUnavailable:
                return False

        await eventually(works)
        await eventually(lambda: commands.publishing.unavailable_reason is None)


async def test_an_exchange_that_somebody_deletes_is_declared_again(
    broker: Broker, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        # Consuming declares the topology as well: it must not do so after what is deleted here.
        await eventually(lambda: commands.consuming.unavailable_reason is None)
        async with commands.raw.channel() as channel:
            await channel.exchange_delete(commands.topology.exchange("status"))
        with pytest.raises(BrokerUnavailable):
            await commands.publisher.publish(event(commands.topology))

        async def works() -> bool:
            try:
                return await commands.publisher.publish(event(commands.topology))
            except BrokerUnavailable:
                return False

        await eventually(works)


async def test_a_message_that_cannot_be_put_into_frames_is_an_error_of_its_own(
    broker: Broker,
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        wrong = event(commands.topology, routing_key="k" * 300)
        with pytest.raises(BrokerUnavailable):
            await commands.publisher.publish(wrong)
        assert await commands.publisher.publish(event(commands.topology)) is True


# Waiting for the library, which mixes up being cancelled with losing its channel


async def ends_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Exception(), StopAsyncIteration()])
async def test_a_call_that_ends_with_its_channel_is_trouble_with_the_broker(
    error: BaseException,
) -> None:
    with pytest.raises(BrokerUnavailable):
        await broker_call(ends_with(error))


async def test_errors_that_say_what_they_are_pass() -> None:
    with pytest.raises(TopologyDiffers):
        await broker_call(ends_with(TopologyDiffers("x")))


async def swallows(entered: asyncio.Event, instead: BaseException | None) -> None:
    """As the library does with a cancellation: another error takes its place, or none."""
    try:
        entered.set()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if instead is not None:
            raise instead from None


@pytest.mark.parametrize("instead", [None, AMQPError("closed")])
async def test_a_task_that_is_cancelled_ends_even_if_the_library_swallows_it(
    instead: BaseException | None,
) -> None:
    entered = asyncio.Event()
    waiting = asyncio.create_task(broker_call(swallows(entered, instead)))
    await entered.wait()
    waiting.cancel()
    await asyncio.wait([waiting], timeout=20)
    assert waiting.cancelled()


async def test_a_deadline_stays_one_even_if_the_library_swallows_it() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await broker_call(swallows(asyncio.Event(), None))


# Consuming and settling


async def test_an_acknowledged_command_is_gone(broker: Broker, eventually: Eventually) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        await commands.send(b"one", message_id="m")
        await eventually(lambda: commands.seen)
        await commands.consumer.drain()
        await asyncio.wait([commands.taking])
        assert await commands.count(commands.topology.command_queue) == 0
    assert commands.bodies == [b"one"]


async def test_a_retried_command_comes_back_as_it_was_and_counted(
    broker: Broker, eventually: Eventually
) -> None:
    async def twice(delivery: Delivery) -> Settlement:
        if "x-attempts" in delivery.headers:
            return Ack()
        return Retry(delay_seconds=0.05, code="busy", reason="not now")

    commands = await broker.commands(twice)
    headers = {"traceparent": "00-1", "number": 7, "flag": True, "list": ["a", 1]}
    async with commands.running():
        await commands.send(
            b"\x00\xff bytes",
            message_id="m",
            correlation_id="c",
            reply_to="r",
            content_type="application/json",
            headers=headers,
        )
        await eventually(lambda: len(commands.seen) == 2)
    first, second = commands.seen
    assert second.body == first.body == b"\x00\xff bytes"
    assert (second.message_id, second.correlation_id, second.reply_to) == ("m", "c", "r")
    assert (second.content_type, second.routing_key) == ("application/json", "some.key")
    assert {name: second.headers[name] for name in headers} == headers
    assert second.headers["x-attempts"] == 1
    assert second.headers["x-reason-code"] == "busy"


async def test_attempts_are_counted_over_retries_and_the_first_sight_is_kept(
    broker: Broker, eventually: Eventually
) -> None:
    async def thrice(delivery: Delivery) -> Settlement:
        if delivery.headers.get("x-attempts") == 3:
            return Dead(code="enough", reason="three times")
        return Retry(delay_seconds=0.05, code="busy", reason="not now")

    commands = await broker.commands(thrice)
    async with commands.running():
        await commands.send(b"x", message_id="m")
        dead = await eventually(lambda: commands.get(commands.topology.dead_queue))
    assert dead is not None
    assert dead.headers["x-attempts"] == 4
    first_seen = {one.headers.get("x-first-seen") for one in commands.seen[1:]}
    assert first_seen == {dead.headers["x-first-seen"]}
    assert dead.headers["x-reason-code"] == "enough"


async def test_a_dead_letter_keeps_its_bytes_and_says_why(
    broker: Broker, eventually: Eventually
) -> None:
    async def dead(_delivery: Delivery) -> Settlement:
        return Dead(code="not_json", reason="the body is not JSON" + "!" * 5000)

    commands = await broker.commands(dead)
    async with commands.running():
        await commands.send(b"\xff\xfe", message_id="m", headers={"mine": "kept"})
        found = await eventually(lambda: commands.get(commands.topology.dead_queue))
    assert found is not None
    assert (found.body, found.message_id, found.routing_key) == (b"\xff\xfe", "m", "some.key")
    assert found.headers["x-reason-code"] == "not_json"
    assert str(found.headers["x-reason"]).startswith("the body is not JSON!")
    assert found.headers["mine"] == "kept"


async def test_an_exception_nobody_expected_ends_the_consumer(
    broker: Broker, eventually: Eventually
) -> None:
    async def fails(_delivery: Delivery) -> Settlement:
        raise ZeroDivisionError

    commands = await broker.commands(fails)
    await declare_all(commands)
    await commands.send(b"x")
    with pytest.raises(ExceptionGroup) as caught:
        await commands.running_to_its_end()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_handler_that_outlives_its_connection_ends_in_peace_and_the_command_comes_again(
    broker: Broker, eventually: Eventually
) -> None:
    lost = asyncio.Event()

    async def slow(_delivery: Delivery) -> Settlement:
        await lost.wait()
        return Ack()

    proxy = await broker.proxy()
    commands = await broker.commands(slow, through=proxy)
    async with commands.running():
        await commands.send(b"x", message_id="m")
        await eventually(lambda: commands.seen)
        proxy.cut()
        await eventually(lambda: commands.connections > 1)  # the first one is surely lost by now
        lost.set()
        await eventually(lambda: len(commands.seen) == 2)
        await commands.consumer.drain()
        await asyncio.wait([commands.taking])
        assert await commands.count(commands.topology.command_queue) == 0
    assert commands.seen[1].redelivered


async def test_a_queue_deleted_under_the_consumer_is_declared_again_and_consuming_resumes(
    broker: Broker, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        await eventually(lambda: commands.consuming.unavailable_reason is None)
        before = commands.connections
        async with commands.raw.channel() as channel:
            await channel.queue_delete(commands.topology.command_queue)
        # That it was in trouble may be over before anybody looks; a new connection stays a fact.
        await eventually(
            lambda: commands.connections > before and commands.consuming.unavailable_reason is None
        )
        await commands.send(b"after", message_id="m")
        await eventually(lambda: commands.bodies == [b"after"])


async def test_a_consumer_that_only_the_broker_has_forgotten_is_noticed_and_consumes_again(
    broker: Broker, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        await eventually(lambda: commands.consuming.unavailable_reason is None)
        await commands.consumer.be_forgotten()
        await commands.send(b"after", message_id="m")
        await eventually(lambda: commands.bodies == [b"after"])
    assert commands.connections == 2


async def test_after_a_drain_nothing_is_delivered_again(
    broker: Broker, eventually: Eventually
) -> None:
    async def quick(_delivery: Delivery) -> Settlement:
        await asyncio.sleep(0)
        return Ack()

    commands = await broker.commands(quick)
    async with commands.running():
        for number in range(300):
            await commands.publisher.publish(
                Outgoing(
                    exchange=commands.topology.exchange("commands"),
                    routing_key="k",
                    body=str(number).encode(),
                )
            )
            if number == 150:
                await eventually(lambda: commands.seen)  # consuming may have begun later
                draining = asyncio.create_task(commands.consumer.drain())
            if number == 250:
                await eventually(commands.consumer.takes_no_more.is_set)
        await draining
        await asyncio.wait([commands.taking])
        left = await commands.count(commands.topology.command_queue)
        taken = len(commands.seen)
    assert len(set(commands.bodies)) == taken
    assert taken + (left or 0) == 300
    assert 0 < taken < 300


async def test_a_drain_waits_for_handlers_and_their_acknowledgements_count(
    broker: Broker, eventually: Eventually
) -> None:
    go = asyncio.Event()

    async def waits(_delivery: Delivery) -> Settlement:
        await go.wait()
        return Ack()

    commands = await broker.commands(waits)
    async with commands.running():
        for number in range(5):
            await commands.send(str(number).encode())
        await eventually(lambda: len(commands.seen) == 5)
        draining = asyncio.create_task(commands.consumer.drain())
        await eventually(commands.consumer.takes_no_more.is_set)
        await commands.send(b"late")
        assert not draining.done()
        go.set()
        await draining
        await asyncio.wait([commands.taking])
        left = await commands.get(commands.topology.command_queue)
        assert left is not None
        assert (left.body, left.redelivered) == (b"late", False)
        assert await commands.count(commands.topology.command_queue) == 0


async def test_a_drain_ends_at_once_while_there_is_no_broker() -> None:
    link = BrokerConnection(lambda: "amqp://guest:guest@127.0.0.1:1/", "consume")
    topology = Topology()
    publisher = Publisher(
        BrokerConnection(lambda: "amqp://127.0.0.1:1/", "publish"), topology, timeout=1
    )
    consumer = Consumer(link, topology, publisher, acknowledge, prefetch=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        await asyncio.sleep(0)
        await consumer.drain()


async def test_a_drain_ends_at_once_while_publishing_is_not_ready(
    broker: Broker, amqp_url: str, eventually: Eventually
) -> None:
    nobody = BrokerConnection(lambda: "amqp://127.0.0.1:1/", "publish")
    publisher = WatchedPublisher(nobody, Topology(), timeout=1)
    link = BrokerConnection(lambda: amqp_url, "consume")
    consumer = Consumer(link, Topology(), publisher, acknowledge, prefetch=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        await eventually(publisher.is_waited_for.is_set)
        await consumer.drain()


class RawProperties(Basic.Properties):
    """Properties as bytes on the wire, such as no library of ours would send."""

    def __init__(self, wire: bytes) -> None:
        super().__init__(message_id="set, or the library fills it in")
        self.wire = wire

    def marshal(self) -> bytes:
        return self.wire


HEADERS, CORRELATION_ID = b"\x20\x00", b"\x04\x00"
UNREADABLE: list[Basic.Properties] = [
    RawProperties(CORRELATION_ID + b"\x02\xff\xfe"),
    RawProperties(HEADERS + b"\x00\x00\x00\x03" + b"\x01\xffV"),
    RawProperties(HEADERS + b"\x00\x00\x00\x0b" + b"\x01aT" + b"\xff" * 8),
]

HOSTILE: list[Basic.Properties] = [
    *UNREADABLE,
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
async def test_no_properties_keep_a_message_from_being_retried_or_put_away(
    broker: Broker, eventually: Eventually, end: str
) -> None:
    tried: set[bytes] = set()

    async def settle(delivery: Delivery) -> Settlement:
        if end == "dead" or delivery.body in tried:
            return Dead(code="bad", reason="it is bad" * 300)
        tried.add(delivery.body)
        return Retry(delay_seconds=0.05, code="busy", reason="not now" * 300)

    commands = await broker.commands(settle)
    async with commands.running():
        for number, properties in enumerate(HOSTILE):
            await commands.send_raw(f"{number}".encode(), properties)
            dead = await eventually(
                lambda: commands.get(commands.topology.dead_queue),
                what=f"dead letter of properties number {number}",
            )
            assert dead is not None
            assert dead.body == f"{number}".encode()
            assert dead.headers["x-reason-code"] == "bad"
        assert commands.connections == 1


async def test_a_routing_key_that_is_no_text_does_not_stop_the_consumer(
    broker: Broker, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge)
    async with commands.running():
        opened = await commands.raw.channel(publisher_confirms=False)
        channel = await opened.get_underlay_channel()
        assert isinstance(channel, Channel)
        exchange = commands.topology.exchange("commands").encode()
        publish = struct.pack(">HHHB", 60, 40, 0, len(exchange)) + exchange + b"\x03a\xffb\x00"
        frames = struct.pack(">BHI", 1, channel.number, len(publish)) + publish + b"\xce"
        frames += marshal(ContentHeader(body_size=4), channel.number)
        frames += marshal(ContentBody(b"body"), channel.number)
        await channel.write_queue.put(ChannelFrame(frames, should_close=False))
        await eventually(lambda: commands.bodies == [b"body"])
        assert commands.seen[0].routing_key == "ab"


# The node itself goes


async def test_after_kill_9_of_the_broker_consuming_and_publishing_resume_by_themselves(
    private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    async with AsyncExitStack() as rooms:
        broker = Broker(private_rabbitmq.amqp_url, "survivor", rooms)
        commands = await broker.commands(acknowledge, timeout=2)
        rooms.pop_all()  # the raw connection goes with the node, and so does what was declared
        async with commands.running():
            await commands.send(b"before", message_id="m-1")
            await eventually(lambda: commands.bodies == [b"before"])
            await asyncio.to_thread(private_rabbitmq.kill)
            with pytest.raises(BrokerUnavailable):
                await commands.publisher.publish(event(commands.topology))
            await asyncio.to_thread(private_rabbitmq.start)
            async with await aio_pika.connect(private_rabbitmq.amqp_url) as raw:
                commands.raw = raw

                async def arrives() -> bool:
                    return b"after" in commands.bodies

                await eventually(lambda: commands.consuming.unavailable_reason is None, seconds=60)
                await commands.send(b"after", message_id="m-2")
                await eventually(arrives, seconds=30)


@pytest.mark.timeout(240)
async def test_a_memory_alarm_ends_publishes_at_their_deadline_and_acknowledging_goes_on(
    private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    async with AsyncExitStack() as rooms:
        broker = Broker(private_rabbitmq.amqp_url, "alarmed", rooms)
        go = asyncio.Event()

        async def waits(_delivery: Delivery) -> Settlement:
            await go.wait()
            return Ack()

        commands = await broker.commands(waits, timeout=0.5)
        async with commands.running():
            await commands.send(b"one", message_id="m-1")
            await eventually(lambda: commands.seen)
            await asyncio.to_thread(private_rabbitmq.set_memory_alarm, on=True)
            async with asyncio.timeout(10):
                with pytest.raises(BrokerUnavailable):
                    await commands.publisher.publish(event(commands.topology))
            assert commands.publishing.unavailable_reason is not None
            go.set()
            await eventually(lambda: commands.consumer.in_flight == 0)
            unacked = await asyncio.to_thread(
                private_rabbitmq.ctl, "list_queues", "name", "messages_unacknowledged"
            )
            assert "alarmed.commands\t0" in unacked
            await asyncio.to_thread(private_rabbitmq.set_memory_alarm, on=False)

            async def works() -> bool:
                try:
                    return await commands.publisher.publish(event(commands.topology))
                except BrokerUnavailable:
                    return False

            await eventually(works, seconds=40)
