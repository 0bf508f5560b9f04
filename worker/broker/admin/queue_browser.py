"""Receives the messages that wait in a queue, and requeues them.

AMQP has no call that reads a queue without receiving from it. The broker requeues messages in
another order, so callers sort them: see docs/adr/0023.
"""

import asyncio
from typing import Final

from aio_pika.abc import AbstractQueue

from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.raw_channel import RawChannel, RawMessage
from worker.broker.connection import broker_call
from worker.broker.messages import Delivery
from worker.broker.topology import RPC_TIMEOUT_SECONDS

CHUNK: Final = 500
"""How many messages each consumer receives."""

MAX_HELD_MESSAGES: Final = 100_000
MAX_HELD_BYTES: Final = 256 * 2**20
"""The browser receives no further chunk above these limits, which limit the memory of the tool."""

MAX_PENDING_ACKS: Final = 15
"""A channel may have at most 32 pending requests to a quorum queue. Acknowledgements above that
wait, and are lost when the channel closes."""

ARRIVAL_TIMEOUT_SECONDS: Final = 2.0
RETURN_TIMEOUT_SECONDS: Final = 2.0


HeldMessage = tuple[int, Delivery]
"""The tag by which a held message is acknowledged, and the message."""


class QueueBrowser:
    """Holds the messages of a queue, so that no other consumer gets them until `close`.

    If the connection is lost, the broker requeues them. Methods raise one of `BROKER_ERRORS`.
    """

    def __init__(
        self, connection: TolerantConnection, queue: AbstractQueue, channel: RawChannel
    ) -> None:
        self._queue = queue
        self._channel = channel
        self._arrived: asyncio.Queue[HeldMessage] = asyncio.Queue()
        connection.route_deliveries(
            channel.number, lambda tag, delivery: self._arrived.put_nowait((tag, delivery))
        )
        self._held: set[int] = set()
        self._pending_acks = 0

    async def take_all(self) -> list[HeldMessage]:
        """Receive the waiting messages, in the queue's order, up to the limits above."""
        messages: list[HeldMessage] = []
        held_bytes = 0
        waiting = min(await self._count(), MAX_HELD_MESSAGES)
        while len(messages) < waiting and held_bytes < MAX_HELD_BYTES:
            chunk = await self._take(min(CHUNK, waiting - len(messages)))
            if not chunk:  # another consumer has received the others
                break
            messages += chunk
            held_bytes += sum(len(delivery.body) for _, delivery in chunk)
        self._held.update(tag for tag, _ in messages)
        return messages

    async def acknowledge(self, tag: int) -> None:
        """Remove a held message from the queue permanently."""
        await broker_call(self._channel.basic_ack(tag))
        self._held.remove(tag)
        self._pending_acks += 1
        if self._pending_acks == MAX_PENDING_ACKS:
            await self._sync()

    async def close(self) -> None:
        """Requeue the held messages. Wait until the queue has them and every acknowledgement."""
        await self._sync()
        if self._held:
            expected = await self._count() + len(self._held)
            await broker_call(self._channel.basic_nack(max(self._held), multiple=True))
            await self._wait_for_count(expected)
            self._held.clear()

    async def _sync(self) -> None:
        """Wait until the queue has every acknowledgement. Starting a consumer ensures that."""
        if self._pending_acks:
            await self._take(0)
            self._pending_acks = 0

    async def _take(self, number: int) -> list[HeldMessage]:
        """Receive this many messages. Returns fewer if no further one arrives in time."""
        self._arrived = asyncio.Queue()
        # A prefetch counts the messages of one consumer, so messages that are held do not count.
        qos = self._channel.basic_qos(prefetch_count=max(1, number), timeout=RPC_TIMEOUT_SECONDS)
        await broker_call(qos)
        consuming = self._channel.basic_consume(
            self._queue.name, _never_called, timeout=RPC_TIMEOUT_SECONDS
        )
        consumer_tag = str((await broker_call(consuming)).consumer_tag)
        messages: list[HeldMessage] = []
        try:
            for _ in range(number):
                async with asyncio.timeout(ARRIVAL_TIMEOUT_SECONDS):
                    messages.append(await self._arrived.get())
        except TimeoutError:
            pass
        await broker_call(self._channel.basic_cancel(consumer_tag, timeout=RPC_TIMEOUT_SECONDS))
        return messages

    async def _wait_for_count(self, expected: int) -> None:
        """Wait until the queue counts this many messages, unless another consumer takes some."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETURN_TIMEOUT_SECONDS
        while await self._count() < expected:
            if clock() > deadline:
                return

    async def _count(self) -> int:
        declared = await broker_call(self._queue.declare(timeout=RPC_TIMEOUT_SECONDS))
        return declared.message_count or 0


async def _never_called(_message: RawMessage) -> None:
    """The library requires a callback, but deliveries are routed past it."""
