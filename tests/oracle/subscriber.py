"""Keeps every message of the exchanges, the replies and the dead letters, with plain aio-pika."""

import time
from dataclasses import dataclass, field
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from tests.oracle.evidence import DeadLetter, Received

EXCHANGES: Final = ("status", "files", "results")


@dataclass
class Subscriber:
    """One queue is bound to all exchanges, so that the order between them is seen."""

    prefix: str
    received: list[Received] = field(default_factory=list)
    replies: list[Received] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    @property
    def reply_queue(self) -> str:
        """Where replies may go."""
        return f"{self.prefix}.oracle.replies"

    async def subscribe(self, channel: AbstractChannel) -> None:
        """Bind to the exchanges, which the worker has declared."""
        events = await channel.declare_queue(f"{self.prefix}.oracle.events", durable=True)
        for name in EXCHANGES:
            await events.bind(f"{self.prefix}.{name}", "#")
        await events.consume(self._take_event)
        replies = await channel.declare_queue(self.reply_queue, durable=True)
        await replies.consume(self._take_reply)

    async def _take_event(self, message: AbstractIncomingMessage) -> None:
        self.received.append(_received(message, ""))
        await message.ack()

    async def _take_reply(self, message: AbstractIncomingMessage) -> None:
        self.replies.append(_received(message, self.reply_queue))
        await message.ack()

    async def take_dead(self, queue: AbstractQueue) -> None:
        """Take all dead letters there are."""
        while (message := await queue.get(fail=False)) is not None:
            self.dead.append(DeadLetter(message.body, dict(message.headers)))
            await message.ack()


def _received(message: AbstractIncomingMessage, queue: str) -> Received:
    return Received(
        at=time.time(),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        body=message.body,
        message_id=message.message_id,
        type=message.type,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        is_persistent=message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT,
        has_timestamp=message.timestamp is not None,
        queue=queue,
    )
