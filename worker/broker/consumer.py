"""Consumes commands, and settles each with the result of its handler."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from worker.aio import first_of, wait_until_set
from worker.broker.acknowledger import Acknowledger
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.raw_channel import on_consumer_cancelled, raw_channel
from worker.broker.connection import (
    BROKER_ERRORS,
    BrokerConnection,
    broker_call,
    described,
    open_channel,
)
from worker.broker.headers import with_trusted_headers
from worker.broker.messages import Ack, Delivery, Retry, Settlement
from worker.broker.publisher import Publisher
from worker.broker.settlement import Settler
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology
from worker.broker.topology_monitor import TOPOLOGY_CHECK_INTERVAL_SECONDS, TopologyMonitor
from worker.domain.errors import BrokerUnavailable, MessageRefused

Handler = Callable[[Delivery], Awaitable[Settlement]]

CHECK_INTERVAL_SECONDS: Final = 10.0
MAX_MISSES: Final = 2
"""If the broker reports this many times in a row that the queue has no consumer, the worker
connects again."""

RENEWAL_INTERVAL_SECONDS: Final = 300.0
"""A consumer that has received nothing for this long gets a new channel."""

MAX_LARGE_BYTES: Final = 8_388_608
"""Bodies above the limit are held up to this total, so that they are dead-lettered with a
reason."""

REQUEUE_DELAY_SECONDS: Final = 1.0


class Consumer:
    """Receives messages with a prefetch and runs the handler of each in a separate task.

    `queue` is by default the queue of commands. `read` gets each delivery and the name of the queue
    of commands, and returns the delivery with the headers that are trusted.

    A body above `max_body_bytes` is discarded if there are too many of them. Then the broker moves
    the message to the dead-letter queue, without the worker's reason.

    Handlers belong to `run`, not to the channel, so a lost connection does not cancel them. An
    unexpected exception of a handler ends `run`.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        topology: Topology,
        publisher: Publisher,
        handler: Handler,
        *,
        prefetch: int,
        queue: str | None = None,
        read: Callable[[Delivery, str], Delivery] = with_trusted_headers,
        max_body_bytes: int | None = None,
        now: Callable[[], float] = time.time,
        on_dead_letter_refused: Callable[[], None] = lambda: None,
        check_interval: float = CHECK_INTERVAL_SECONDS,
        topology_check_interval: float = TOPOLOGY_CHECK_INTERVAL_SECONDS,
        renewal_interval: float = RENEWAL_INTERVAL_SECONDS,
    ) -> None:
        self._connection = connection
        self._topology = topology
        self._publisher = publisher
        self._handler = handler
        self._prefetch = prefetch
        self._queue = queue or topology.command_queue
        self._read = read
        self._max_body_bytes = max_body_bytes
        self._large_bytes = 0
        self._check_interval = check_interval
        # One consumer of each worker checks.
        is_of_commands = self._queue == topology.command_queue
        self._topology_monitor = TopologyMonitor(
            publisher, topology_check_interval if is_of_commands else math.inf
        )
        self._renewal_interval = renewal_interval
        self._active_at = -math.inf
        self._settler = Settler(
            publisher, topology, now=now, on_dead_letter_refused=on_dead_letter_refused
        )
        self._handlers = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._is_one_at_a_time = False
        self._prefetch_changed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many deliveries are being handled."""
        return len(self._running)

    async def run(self) -> None:
        """Consume until `drain` is called, on as many connections as necessary."""
        async with self._handlers:
            await self._connection.run(self._session)

    async def drain(self) -> None:
        """Receive no more deliveries, and return when the running handlers have settled."""
        self._draining.set()
        self._connection.stop()
        while self._running:
            await asyncio.wait(self._running)

    def set_one_at_a_time(self, is_one_at_a_time: bool) -> None:
        """From now on use a prefetch of one command, or the configured prefetch again."""
        self._is_one_at_a_time = is_one_at_a_time
        self._prefetch_changed.set()

    async def _session(self, connection: TolerantConnection) -> None:
        """Consume until the connection, the channel or the consumer is lost, or until `drain`."""
        # Settling needs the publisher. The queue may have been deleted while this consumer was
        # unavailable.
        await first_of(self._publisher.wait_ready(), self._draining.wait())
        if self._draining.is_set():
            return
        await self._publisher.prepare_topology(connection)
        self._topology_monitor.mark_done()
        while await self._consume_on_new_channel(connection):
            pass

    async def _consume_on_new_channel(self, connection: TolerantConnection) -> bool:
        """Consume on a channel. True if it was closed to be replaced by another one."""
        channel = await open_channel(connection)
        raw = await raw_channel(channel)
        is_cancelled = asyncio.Event()
        on_consumer_cancelled(raw, is_cancelled.set)
        start_handler = partial(self._start_handler, Acknowledger(raw))
        connection.route_deliveries(raw.number, start_handler, self._may_hold)
        is_silent = await self._consume(connection, channel, is_cancelled)
        if is_silent:
            await broker_call(channel.close())
            connection.end_deliveries(raw.number)
        return is_silent

    async def _consume(
        self,
        connection: TolerantConnection,
        channel: AbstractChannel,
        is_cancelled: asyncio.Event,
    ) -> bool:
        """Consume on one channel. A changed prefetch needs a new consumer, not a new channel.

        True after a long silence. Then the consumer has ended, and no handler is running.
        """
        queue = await channel.get_queue(self._queue, ensure=False)
        while True:
            tag = await broker_call(self._start_consumer(channel, queue))
            self._connection.mark_ready()
            is_lost = (channel.closed, is_cancelled.wait)
            ends = (*is_lost, self._draining.wait, self._prefetch_changed.wait)
            is_silent = await self._watch(connection, queue, *ends)
            if is_silent or self._draining.is_set():
                # A call in progress may outlast the channel, until its time-out.
                await first_of(channel.closed(), self._finish(channel, queue, tag))
                return not self._draining.is_set()
            if not self._prefetch_changed.is_set():
                return False
            await broker_call(queue.cancel(tag, timeout=RPC_TIMEOUT_SECONDS))

    async def _start_consumer(self, channel: AbstractChannel, queue: AbstractQueue) -> str:
        """Start a consumer. Deliveries of an earlier one are settled on the same channel."""
        self._prefetch_changed.clear()
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            # A prefetch applies only to consumers that start after it was set.
            await channel.set_qos(1 if self._is_one_at_a_time else self._prefetch)
            return await queue.consume(_never_called)

    async def _watch(
        self,
        connection: TolerantConnection,
        queue: AbstractQueue,
        *ends: Callable[[], Awaitable[Any]],
    ) -> bool:
        """Return False when one of `ends` returns, and True after a long silence.

        Until then, ask the broker whether it has our consumer.

        A channel can look healthy here although the broker has lost its consumer, or although its
        queue has no leader and does not answer. A queue that is too busy to count in time reports
        no messages and no consumer. So this answer counts only twice in a row. Raises
        BrokerUnavailable, and TopologyDiffers.

        The broker may also count our consumer and drop all deliveries to it. If a quorum queue is
        deleted and declared again at once, the broker's channel takes the deliveries of the new
        queue for repeats. Nothing shows this here, but a new channel ends it.
        """
        misses = 0
        self._active_at = time.monotonic()
        while not await first_of(*(end() for end in ends), seconds=self._check_interval):
            await self._topology_monitor.check_if_due(connection)
            declared = await broker_call(queue.declare(timeout=RPC_TIMEOUT_SECONDS))
            misses = 0 if declared.consumer_count else misses + 1
            if misses == MAX_MISSES:
                raise BrokerUnavailable(f"the broker has no consumer of {queue.name!r}")
            if self._running:
                self._active_at = time.monotonic()
            if time.monotonic() >= self._active_at + self._renewal_interval:
                return True
        return False

    def _may_hold(self, size: int) -> bool:
        return not self._is_large(size) or self._large_bytes + size <= MAX_LARGE_BYTES

    def _is_large(self, size: int) -> bool:
        return self._max_body_bytes is not None and size > self._max_body_bytes

    def _start_handler(self, acknowledger: Acknowledger, tag: int, delivery: Delivery) -> None:
        self._active_at = time.monotonic()
        delivery = self._read(delivery, self._topology.command_queue)
        task = self._handlers.create_task(self._handle(acknowledger, tag, delivery), name="command")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self._is_large(size := len(delivery.body)):
            self._large_bytes += size
            task.add_done_callback(lambda _task: self._forget_large(size))

    def _forget_large(self, size: int) -> None:
        self._large_bytes -= size

    async def _handle(self, acknowledger: Acknowledger, tag: int, delivery: Delivery) -> None:
        settlement = await self._handler(delivery)
        if delivery.unread_bytes and not isinstance(settlement, Ack):
            await self._settle_unread(acknowledger, tag, settlement)
        else:
            await self._settle(acknowledger, tag, delivery, settlement)

    async def _settle(
        self, acknowledger: Acknowledger, tag: int, delivery: Delivery, settlement: Settlement
    ) -> None:
        try:
            await self._settler.settle(delivery, settlement)
        except BrokerUnavailable as error:
            structlog.get_logger().warning("ack_failed", reason=str(error))
            if isinstance(error, MessageRefused):  # its queue may be gone
                self._topology_monitor.make_due()
            await self._pause_before_requeue()
            await _ignore_closed(acknowledger.requeue(tag))
        else:
            await _ignore_closed(acknowledger.acknowledge(tag))

    async def _settle_unread(
        self, acknowledger: Acknowledger, tag: int, settlement: Settlement
    ) -> None:
        """Settle a delivery whose body was discarded. It cannot be copied without a body, so the
        broker moves the message, or delivers it again."""
        if isinstance(settlement, Retry):
            await self._pause_before_requeue(settlement.delay_seconds)
            await _ignore_closed(acknowledger.requeue(tag))
        else:
            await _ignore_closed(acknowledger.reject(tag))

    async def _pause_before_requeue(self, seconds: float = REQUEUE_DELAY_SECONDS) -> None:
        """Wait, because the broker delivers a requeued message again at once."""
        await wait_until_set(self._draining, seconds)

    async def _finish(self, channel: AbstractChannel, queue: AbstractQueue, tag: str) -> None:
        try:
            await broker_call(queue.cancel(tag, timeout=RPC_TIMEOUT_SECONDS))
            # Deliveries that arrived before the answer have become handlers after a round trip.
            await self._round_trip(channel)
            while self._running:
                await asyncio.wait(self._running)
            # Quorum queues ignore acknowledgements that are sent just before the channel closes.
            # After a round trip the queue has seen them.
            await self._round_trip(channel)
        except BROKER_ERRORS as error:
            structlog.get_logger().warning("drain_failed", reason=described(error))

    async def _round_trip(self, channel: AbstractChannel) -> None:
        await broker_call(channel.set_qos(self._prefetch, timeout=RPC_TIMEOUT_SECONDS))


async def _never_called(_message: AbstractIncomingMessage) -> None:
    """The library requires a callback, but deliveries are routed to `_start_handler`."""


async def _ignore_closed(settling: Awaitable[None]) -> None:
    """A closed channel has requeued its messages, so they are delivered again."""
    try:
        await settling
    except BROKER_ERRORS as error:
        structlog.get_logger().debug("ack_channel_closed", reason=described(error))
