"""Looking through a queue, which AMQP knows no way to do: take, hold, give back in order.

A quorum queue without a delivery limit puts what is given back behind all others, one with a limit
in front of all that never were. Where everything is taken first and then given back in order, both
come to the order of before.
"""

import asyncio
from collections import deque
from typing import Final

from aio_pika.abc import AbstractQueue

from worker.broker.aiormq.raw_channel import RawChannel, RawMessage
from worker.broker.connection import broker_call
from worker.broker.topology import RPC_TIMEOUT_SECONDS

AT_ONCE: Final = 15
"""Messages taken, and therefore acknowledged, or given back between two waits for the queue. A
channel has at most 32 requests to a quorum queue under way. What is above waits, is mixed up, and
is forgotten when the channel closes."""

MOST_HELD: Final = 100_000
"""Messages that are held for the sake of the order; in a longer queue it is not kept."""

SILENCE_SECONDS: Final = 2.0
RETURN_SECONDS: Final = 2.0


class QueueBrowser:
    """What waits in a queue, taken by nobody else before it is given back or acknowledged.

    The broker gives back by itself what is held when the channel closes, in an order of its own.
    Errors are those of the library, see `BROKER_TROUBLE`.
    """

    def __init__(self, queue: AbstractQueue, channel: RawChannel) -> None:
        self._queue = queue
        self._channel = channel
        self._arrived: deque[RawMessage] = deque()
        self._tags: set[int] = set()
        self._read = 0
        self._taken = 0
        counted = queue.declaration_result.message_count
        self._waiting: int = counted or 0

    @property
    def unread(self) -> int:
        """How many of those that waited at the start `next` has not returned."""
        return self._waiting - self._read

    async def next(self) -> RawMessage | None:
        """The next one from the head of the queue; None after those that waited at the start."""
        if not self._arrived:
            await self._take_more()
        if not self._arrived:
            return None
        self._read += 1
        return self._arrived.popleft()

    async def acknowledge(self, tag: int) -> None:
        """Take one out of the queue for good."""
        self._tags.remove(tag)
        await broker_call(self._channel.basic_ack(tag))

    async def give_back(self) -> None:
        """Put back what is held, and return when the queue has it, and every acknowledgement."""
        if self._tags:
            self._arrived.clear()
            while len(self._tags) < MOST_HELD and await self._take_more():
                self._arrived.clear()
        else:
            # To begin consuming waits for the queue: it has seen all that was sent before.
            await self._take(min(1, await self._count()))
        waiting, patient = await self._count(), True
        tags = sorted(self._tags)
        for start in range(0, len(tags), AT_ONCE):
            returned = tags[start : start + AT_ONCE]
            # One by one: nothing says in which order the broker returns several at once.
            for tag in returned:
                await broker_call(self._channel.basic_nack(tag, requeue=True))
            waiting += len(returned)
            patient = patient and await self._sees(waiting)
        self._tags.clear()

    async def _take_more(self) -> bool:
        """Take some of those that waited at the start; False when there are no more."""
        wanted = min(AT_ONCE, self._waiting - self._taken)
        if wanted <= 0:
            return False
        if not await self._take(wanted):
            self._waiting = self._taken
        return bool(self._arrived)

    async def _take(self, wanted: int) -> bool:
        """Take and hold so many; False when others have left fewer."""
        coming: asyncio.Queue[RawMessage] = asyncio.Queue()
        # Held messages do not count: the prefetch is that of the consumer that begins now.
        await broker_call(
            self._channel.basic_qos(prefetch_count=max(1, wanted), timeout=RPC_TIMEOUT_SECONDS)
        )
        consuming = await broker_call(
            self._channel.basic_consume(self._queue.name, coming.put, timeout=RPC_TIMEOUT_SECONDS)
        )
        complete = True
        try:
            for _ in range(wanted):
                async with asyncio.timeout(SILENCE_SECONDS):
                    self._hold(await coming.get())
        except TimeoutError:
            complete = False
        await broker_call(
            self._channel.basic_cancel(str(consuming.consumer_tag), timeout=RPC_TIMEOUT_SECONDS)
        )
        return complete

    def _hold(self, message: RawMessage) -> None:
        self._taken += 1
        self._tags.add(tag_of(message))
        self._arrived.append(message)

    async def _sees(self, waiting: int) -> bool:
        """Return when so many wait in the queue; False after a while: others have taken some."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETURN_SECONDS
        while await self._count() < waiting:
            if clock() > deadline:
                return False
        return True

    async def _count(self) -> int:
        declared = await broker_call(self._queue.declare(timeout=RPC_TIMEOUT_SECONDS))
        return declared.message_count or 0


def tag_of(message: RawMessage) -> int:
    """What a message that is held is acknowledged by."""
    tag = message.delivery_tag
    assert tag is not None  # noqa: S101 - only answers that bring no message have none
    return tag
