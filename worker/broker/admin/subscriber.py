"""Receives messages for a while, through a queue that the broker deletes with its connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from worker.broker.admin.one_shot import error_summary
from worker.broker.aiormq.raw_channel import (
    RawChannel,
    RawMessage,
    on_consumer_cancelled,
    raw_channel,
)
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.messages import Delivery
from worker.broker.topology import RPC_TIMEOUT_SECONDS
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

PREFETCH: Final = 100
MAX_QUEUE_LENGTH: Final = 100_000
"""If a subscriber is too slow, the broker drops the oldest messages above this number."""


class Subscription:
    """The messages that arrive in the subscriber's own queue.

    `queue` is the queue's name, which can be given as a `reply_to`.
    """

    def __init__(self, queue: str, channel: RawChannel) -> None:
        self.queue = queue
        self._channel = channel
        self._arrived: asyncio.Queue[RawMessage | None] = asyncio.Queue()

    async def next(self) -> Delivery:
        """Wait for the next message and return it.

        Raises BrokerUnavailable when the connection was lost, and the queue with it.
        """
        message = await self._arrived.get()
        if message is None:
            self.mark_lost()
            raise BrokerUnavailable("the connection to RabbitMQ was lost, or its queue was")
        if message.delivery_tag is not None:
            try:
                await broker_call(self._channel.basic_ack(message.delivery_tag, wait=False))
            except BROKER_ERRORS:
                self.mark_lost()
        return Delivery(
            body=message.body,
            routing_key=message.routing_key or "",
            content_type=message.header.properties.content_type,
            message_id=message.header.properties.message_id,
            correlation_id=message.header.properties.correlation_id,
            headers=dict(message.header.properties.headers or {}),
        )

    async def add(self, message: RawMessage) -> None:
        """Add a message that arrived."""
        self._arrived.put_nowait(message)

    def mark_lost(self, *_: object) -> None:
        """Make `next` raise after the messages that have arrived."""
        self._arrived.put_nowait(None)


@asynccontextmanager
async def subscribe(
    connection: AbstractConnection, exchanges: Sequence[str]
) -> AsyncIterator[Subscription]:
    """Receive everything that these exchanges get from now on, and messages to the queue itself.

    Raises TopologyDiffers when an exchange does not exist, and BrokerUnavailable when the broker
    does not answer.
    """
    try:
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            channel = await open_channel(connection)
            subscription = await broker_call(_subscribe(channel, exchanges))
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(error_summary(error)) from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error
    yield subscription


async def _subscribe(channel: AbstractChannel, exchanges: Sequence[str]) -> Subscription:
    queue = await channel.declare_queue(
        exclusive=True, auto_delete=True, arguments={"x-max-length": MAX_QUEUE_LENGTH}
    )
    for exchange in exchanges:
        await queue.bind(exchange, "#")
    await channel.set_qos(PREFETCH)
    raw = await raw_channel(channel)
    subscription = Subscription(queue.name, raw)
    channel.close_callbacks.add(subscription.mark_lost)
    on_consumer_cancelled(raw, subscription.mark_lost)
    await raw.basic_consume(queue.name, subscription.add)
    return subscription
