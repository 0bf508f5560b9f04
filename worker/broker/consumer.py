"""Consuming commands, and settling each by what its handler returns."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.channel import Channel

from worker.broker.acknowledging import Acknowledging
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.connection import BROKER_ERRORS, BrokerConnection, broker_call, open_channel
from worker.broker.headers import headers_for_copy
from worker.broker.messages import Ack, Dead, Delivery, Outgoing, Retry, Settlement
from worker.broker.publisher import Publisher
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology
from worker.domain.errors import BrokerUnavailable

Handler = Callable[[Delivery], Awaitable[Settlement]]

CHECK_INTERVAL_SECONDS: Final = 10.0
MAX_MISSES: Final = 2
"""So many answers in a row that the queue has no consumer are believed."""

REQUEUE_DELAY_SECONDS: Final = 1.0


class Consumer:
    """Takes commands with a prefetch and hands each to the handler in a task of its own.

    Handlers belong to `run`, not to the channel: a lost connection does not cancel what is being
    done. An exception that a handler was not expected to raise ends `run`.
    """

    def __init__(
        self,
        link: BrokerConnection,
        topology: Topology,
        publisher: Publisher,
        handler: Handler,
        *,
        prefetch: int,
        now: Callable[[], float] = time.time,
        check_seconds: float = CHECK_INTERVAL_SECONDS,
    ) -> None:
        self._link = link
        self._topology = topology
        self._publisher = publisher
        self._handler = handler
        self._prefetch = prefetch
        self._check_seconds = check_seconds
        self._handlers = asyncio.TaskGroup()
        self._now = now
        self._running: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._cautious = False
        self._mood_changed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many deliveries are in work."""
        return len(self._running)

    async def run(self) -> None:
        """Consume, over as many connections as it takes, until `drain` has been called."""
        async with self._handlers:
            await self._link.run(self._session)

    async def drain(self) -> None:
        """Take no more, and return when the running handlers have settled."""
        self._draining.set()
        self._link.stop()
        while self._running:
            await asyncio.wait(self._running)

    def take_one_at_a_time(self, cautious: bool) -> None:
        """Take one command at a time from now on, or as many as the prefetch says again."""
        self._cautious = cautious
        self._mood_changed.set()

    async def _session(self, connection: AbstractConnection) -> None:
        """Consume until the connection, the channel or the consumer is lost, or `drain`."""
        # Settling needs publishing; and while this consumer was away, so may its queue have been.
        await _first_of(self._publisher.wait_ready(), self._draining.wait())
        if self._draining.is_set():
            return
        await self._publisher.prepare_topology(connection)
        opened = await open_channel(connection)
        channel = await opened.get_underlay_channel()
        assert isinstance(channel, Channel)  # noqa: S101 - the abstract one hides its queue
        cancelled = asyncio.Event()
        channel.on_consumer_cancel_callbacks.add(lambda _frame: cancelled.set())
        settling = Acknowledging(channel)
        assert isinstance(connection, TolerantConnection)  # noqa: S101 - `BrokerConnection` makes no others
        connection.take_deliveries(channel.number, partial(self._take, settling))
        while True:
            tag = await broker_call(self._consume(channel, settling))
            self._link.mark_ready()
            lost = (opened.closed, cancelled.wait)
            await self._attend(channel, *lost, self._draining.wait, self._mood_changed.wait)
            if self._draining.is_set():
                await self._finish(channel, tag)
                return
            if not self._mood_changed.is_set():
                return
            await broker_call(channel.basic_cancel(tag, timeout=RPC_TIMEOUT_SECONDS))

    async def _attend(self, channel: Channel, *ends: Callable[[], Awaitable[Any]]) -> None:
        """Until one of the ends comes: ask the broker, now and then, whether it still knows us.

        A channel can look healthy here while the broker has no consumer any more, or while its
        queue has no leader and answers nothing. A queue that is too busy to count in time is said
        to be empty and to have no consumer, so that is believed the second time in a row. Raises
        BrokerUnavailable.
        """
        misses = 0
        while not await _first_of(*(end() for end in ends), seconds=self._check_seconds):
            queue = self._topology.command_queue
            asking = channel.queue_declare(queue, passive=True, timeout=RPC_TIMEOUT_SECONDS)
            known = (await broker_call(asking)).consumer_count
            misses = 0 if known else misses + 1
            if misses == MAX_MISSES:
                raise BrokerUnavailable(f"the broker has no consumer of {queue!r}")

    async def _consume(self, channel: AbstractChannel, settling: Acknowledging) -> str:
        """Begin to take commands; what is in hand already is settled on the same channel."""
        self._mood_changed.clear()
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            # The prefetch counts for consumers that begin after it was set.
            await channel.basic_qos(prefetch_count=1 if self._cautious else self._prefetch)
            consuming = await channel.basic_consume(self._topology.command_queue, _comes_elsewhere)
        return str(consuming.consumer_tag)

    def _take(self, settling: Acknowledging, tag: int, delivery: Delivery) -> None:
        task = self._handlers.create_task(self._handle(settling, tag, delivery), name="command")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _handle(self, settling: Acknowledging, tag: int, delivery: Delivery) -> None:
        settlement = await self._handler(delivery)
        try:
            await self._settle(delivery, settlement)
        except BrokerUnavailable as error:
            structlog.get_logger().warning("ack_failed", reason=str(error))
            await self._breathe()
            await _quietly(settling.give_back(tag))
        else:
            await _quietly(settling.acknowledge(tag))

    async def _settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Put the message where it goes next; it is acknowledged only after that."""
        match settlement:
            case Ack():
                return
            case Retry():
                queue = self._topology.retry_queue(settlement.delay_seconds)
                await self._move(delivery, settlement, "", queue, settlement.redelivery_count)
            case Dead():
                exchange = self._topology.exchange("dead-letter")
                await self._move(delivery, settlement, exchange, delivery.routing_key)

    async def _move(
        self,
        delivery: Delivery,
        settlement: Retry | Dead,
        exchange: str,
        key: str,
        returned: int = 0,
    ) -> None:
        taken = await self._publisher.publish(
            Outgoing(
                exchange=exchange,
                routing_key=key,
                body=delivery.body,
                content_type=delivery.content_type,
                message_id=delivery.message_id,
                correlation_id=delivery.correlation_id,
                reply_to=delivery.reply_to,
                timestamp=delivery.sent_at,
                headers=headers_for_copy(
                    delivery,
                    code=settlement.code,
                    reason=settlement.reason,
                    now=self._now(),
                    returned=returned,
                ),
                mandatory=True,
            )
        )
        if not taken:
            raise BrokerUnavailable(f"no queue took the message for {exchange or key!r}")

    async def _breathe(self) -> None:
        """Before giving a message back, which the broker then delivers again at once."""
        try:
            async with asyncio.timeout(REQUEUE_DELAY_SECONDS):
                await self._draining.wait()
        except TimeoutError:
            pass

    async def _finish(self, channel: AbstractChannel, consumer_tag: str) -> None:
        try:
            await broker_call(channel.basic_cancel(consumer_tag, timeout=RPC_TIMEOUT_SECONDS))
            # Deliveries that came before the answer have become handlers after a round trip.
            await self._round_trip(channel)
            while self._running:
                await asyncio.wait(self._running)
            # Quorum queues ignore acks sent just before the channel closes: after another one
            # they have been seen.
            await self._round_trip(channel)
        except BROKER_ERRORS as error:
            structlog.get_logger().warning("drain_failed", reason=str(error))

    async def _round_trip(self, channel: AbstractChannel) -> None:
        await broker_call(
            channel.basic_qos(prefetch_count=self._prefetch, timeout=RPC_TIMEOUT_SECONDS)
        )


async def _comes_elsewhere(_message: DeliveredMessage) -> None:
    """The library wants a callback, and is never given a delivery: see `take_deliveries`."""


async def _quietly(settling: Awaitable[None]) -> None:
    """A channel that is gone has returned its messages to the queue: they come again."""
    try:
        await settling
    except BROKER_ERRORS as error:
        structlog.get_logger().debug("ack_channel_closed", reason=str(error))


async def _first_of(*waits: Awaitable[Any], seconds: float | None = None) -> bool:
    """Wait for one of them; False when none came within so many seconds."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()
