"""A real broker with the worker's publisher and consumer, and messages from other clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)
from pamqp.commands import Basic

from tests.fault.tcp_proxy import TcpProxy
from tests.integration.broker.amqp_frame_proxy import AmqpFrameProxy
from worker.broker.connection import BrokerConnection, open_connection
from worker.broker.consumer import Consumer
from worker.broker.messages import Ack, Delivery, Outgoing, Settlement
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology, declare
from worker.domain.errors import BrokerUnavailable

Decide = Callable[[Delivery], Awaitable[Settlement]]


class WatchedConsumer(Consumer):
    """A consumer that a test can cancel on the broker without the worker's knowledge.

    A drain sets `deliveries_ended` when the broker has confirmed that it stops delivering.
    `started` counts the consumers so far.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deliveries_ended = asyncio.Event()
        self.started = 0

    async def _start_consumer(self, channel: AbstractChannel, queue: AbstractQueue) -> str:
        self.started += 1
        self._last = queue, await super()._start_consumer(channel, queue)
        return self._last[1]

    async def cancel_on_the_broker(self) -> None:
        queue, tag = self._last
        await queue.cancel(tag)

    async def _round_trip(self, channel: AbstractChannel) -> None:
        await super()._round_trip(channel)  # the first follows the answer to the cancellation
        self.deliveries_ended.set()


class BrokerBench:
    """A running publisher and consumer, and a separate connection that inspects the broker."""

    def __init__(
        self,
        url: str,
        raw: AbstractConnection,
        topology: Topology,
        decide: Decide,
        timeout: float,
        max_body_bytes: int | None,
        topology_check_interval: float,
        renewal_interval: float,
    ) -> None:
        self.raw = raw
        self.topology = topology
        self.deliveries: list[Delivery] = []
        self._decide = decide
        self._url = url
        self._connections = 0
        self.publishing = BrokerConnection(lambda: url, "publish")
        self.consuming = BrokerConnection(self._url_of_next_connection, "consume")
        self.publisher = Publisher(self.publishing, topology, timeout=timeout)
        self.consumer = WatchedConsumer(
            self.consuming,
            topology,
            self.publisher,
            self._handle,
            prefetch=10,
            max_body_bytes=max_body_bytes,
            check_interval=0.1,
            topology_check_interval=topology_check_interval,
            renewal_interval=renewal_interval,
        )

    @property
    def connections(self) -> int:
        """The number of connections that the consumer has opened so far."""
        return self._connections

    def _url_of_next_connection(self) -> str:
        self._connections += 1
        return self._url

    async def _handle(self, delivery: Delivery) -> Settlement:
        self.deliveries.append(delivery)
        return await self._decide(delivery)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["BrokerBench"]:
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(self.publishing.run(self.publisher.session))
            self.consumer_task = group.create_task(self.consumer.run())
            try:
                async with asyncio.timeout(20):
                    await self.publisher.wait_ready()
                yield self
            finally:
                publishing.cancel()
                self.consumer_task.cancel()

    async def run_until_the_consumer_ends(self) -> None:
        async with asyncio.timeout(20), self.running():
            await asyncio.wait([self.consumer_task])

    async def can_publish(self) -> bool:
        """Whether an event is confirmed."""
        try:
            return await self.publisher.publish(event(self.topology))
        except BrokerUnavailable:
            return False

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
        """The number of messages that are ready in a queue."""
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


class BrokerBenches:
    """Opens benches on one broker, behind a proxy on request, and removes what they declared."""

    def __init__(self, url: str, prefix: str, resources: AsyncExitStack) -> None:
        self._url = url
        self._prefix = prefix
        self._resources = resources

    async def bench(
        self,
        decide: Decide,
        *,
        timeout: float = 5.0,
        max_body_bytes: int | None = None,
        topology_check_interval: float = 3600.0,
        renewal_interval: float = 3600.0,
        proxy: TcpProxy | AmqpFrameProxy | None = None,
    ) -> BrokerBench:
        raw = await open_connection(self._url, "test")  # this client accepts properties of any type
        self._resources.push_async_callback(raw.close)
        topology = Topology(prefix=self._prefix, retry_delays=(0.05, 1.0))
        port = proxy.port if proxy else urlsplit(self._url).port
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        bench = BrokerBench(
            url if proxy else self._url,
            raw,
            topology,
            decide,
            timeout,
            max_body_bytes,
            topology_check_interval,
            renewal_interval,
        )
        self._resources.push_async_callback(bench.remove)
        return bench

    async def proxy(self) -> TcpProxy:
        return await self._resources.enter_async_context(TcpProxy(urlsplit(self._url).port or 5672))


@asynccontextmanager
async def open_broker_benches(amqp_url: str, names_prefix: str) -> AsyncIterator[BrokerBenches]:
    async with AsyncExitStack() as resources:
        yield BrokerBenches(amqp_url, names_prefix, resources)


async def acknowledge(_delivery: Delivery) -> Settlement:
    return Ack()


async def declare_all(bench: BrokerBench) -> None:
    async with bench.raw.channel(publisher_confirms=False) as channel:
        await declare(channel, bench.topology)


def event(topology: Topology, body: bytes = b"{}", **more: Any) -> Outgoing:
    fields = {"exchange": topology.exchange("status"), "routing_key": "track.uploaded"} | more
    return Outgoing(body=body, **fields)
