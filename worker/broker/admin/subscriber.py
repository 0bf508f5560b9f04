"""Listening for a while through a queue that nobody else has and that goes with its listener."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel as OpenedChannel
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import AbstractChannel, DeliveredMessage

from worker.broker.admin.one_shot import error_summary
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.messages import Delivery
from worker.broker.topology import RPC_TIMEOUT_SECONDS
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

PREFETCH: Final = 100
MAX_QUEUE_LENGTH: Final = 100_000
"""Messages that the broker keeps for a listener that is too slow; then the oldest go first."""


class Subscription:
    """What arrives in a queue of its own. `queue` is its name, to be given as a `reply_to`."""

    def __init__(self, queue: str, channel: AbstractChannel) -> None:
        self.queue = queue
        self._channel = channel
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()

    async def next(self) -> Delivery:
        """The next message, as soon as there is one.

        Raises BrokerUnavailable when the connection was lost, and the queue with it.
        """
        message = await self._arrived.get()
        if message is None:
            self._arrived.put_nowait(None)
            raise BrokerUnavailable("the connection to RabbitMQ was lost, or its queue was")
        if message.delivery_tag is not None:
            try:
                await broker_call(self._channel.basic_ack(message.delivery_tag, wait=False))
            except BROKER_ERRORS:
                self._arrived.put_nowait(None)
        return Delivery(
            body=message.body,
            routing_key=message.routing_key or "",
            content_type=message.header.properties.content_type,
            message_id=message.header.properties.message_id,
            correlation_id=message.header.properties.correlation_id,
        )

    async def take(self, message: DeliveredMessage) -> None:
        """Called by the channel for each message."""
        self._arrived.put_nowait(message)

    def lost(self, *_: object) -> None:
        """Called when nothing can arrive any more."""
        self._arrived.put_nowait(None)


@asynccontextmanager
async def subscribe(
    connection: AbstractConnection, exchanges: Sequence[str]
) -> AsyncIterator[Subscription]:
    """Receive all that these exchanges get from now on, and what is sent to the queue itself.

    Raises TopologyDiffers when an exchange does not exist, BrokerUnavailable when the broker does
    not answer.
    """
    try:
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            opened = await open_channel(connection)
            subscription = await broker_call(_subscribe(opened, exchanges))
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(error_summary(error)) from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error
    yield subscription


async def _subscribe(opened: OpenedChannel, exchanges: Sequence[str]) -> Subscription:
    queue = await opened.declare_queue(
        exclusive=True, auto_delete=True, arguments={"x-max-length": MAX_QUEUE_LENGTH}
    )
    for exchange in exchanges:
        await queue.bind(exchange, "#")
    channel = await opened.get_underlay_channel()
    await channel.basic_qos(prefetch_count=PREFETCH)
    subscription = Subscription(queue.name, channel)
    opened.close_callbacks.add(subscription.lost)
    channel.on_consumer_cancel_callbacks.add(subscription.lost)
    await channel.basic_consume(queue.name, subscription.take)
    return subscription
