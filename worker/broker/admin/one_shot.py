"""A short visit to the broker, for tools: connect once, do one thing, leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import PublishError
from yarl import URL

from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.connection import (
    BROKER_ERRORS,
    CONNECT_TIMEOUT_SECONDS,
    HEARTBEAT_SECONDS,
    broker_call,
    close_quietly,
    open_channel,
)
from worker.broker.messages import Outgoing
from worker.broker.topology import Topology, declare
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

Connection = AbstractConnection


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """A connection of its own that is not restored when it is lost.

    `name` is what operators see among the broker's connections. Raises BrokerUnavailable, naming
    host and port and never the password.
    """
    parsed = URL(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            connection = await broker_call(
                aio_pika.connect(
                    parsed.update_query(heartbeat=HEARTBEAT_SECONDS),
                    client_properties={"connection_name": f"recording-worker {name}"},
                    connection_class=TolerantConnection,
                )
            )
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(
            f"no connection to RabbitMQ at {parsed.host}:{parsed.port or '(default port)'}: "
            f"{error_summary(error)}. Is AMQP_URL right?"
        ) from error
    try:
        yield connection
    finally:
        await close_quietly(connection)


async def publish_once(
    connection: AbstractConnection, message: Outgoing, *, timeout: float
) -> bool:
    """Publish persistently; True once the broker has confirmed that a queue took it.

    False when it was mandatory and no queue was there for it. Raises TopologyDiffers when the
    exchange does not exist, and BrokerUnavailable when there was no confirmation within `timeout`
    seconds; the message may have been taken all the same.
    """
    try:
        async with asyncio.timeout(timeout):
            await broker_call(_publish(connection, message))
            return True
    except PublishError:
        return False
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(f"the exchange {message.exchange!r} does not exist") from error
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"no confirmation within {timeout:g} s from {message.exchange!r}"
        ) from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


async def declare_once(connection: AbstractConnection, topology: Topology) -> None:
    """Create what is missing of the topology.

    Raises TopologyDiffers, naming what exists with other properties, and BrokerUnavailable.
    """
    try:
        await broker_call(declare(await open_channel(connection), topology))
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


def error_summary(error: BaseException) -> str:
    """The first line of the error, bounded; its class where it says nothing."""
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:300]


async def _publish(connection: AbstractConnection, message: Outgoing) -> None:
    channel = await open_channel(connection, confirms=True)
    exchange = await channel.get_exchange(message.exchange)
    await exchange.publish(_amqp(message), message.routing_key, mandatory=message.mandatory)


def _amqp(message: Outgoing) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        headers=dict(message.headers),  # type: ignore[arg-type]  # checked by the broker
        content_type=message.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
    )
