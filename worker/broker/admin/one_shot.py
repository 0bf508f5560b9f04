"""A short connection for tools: it publishes or declares once, then closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError

from worker.broker.aiormq.batch_publish import send_batch, with_message_id
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.message_encoder import ENCODING_ERRORS
from worker.broker.aiormq.raw_channel import AccessRefused, raw_channel
from worker.broker.aiormq.versions import check_versions
from worker.broker.broker_url import host_of, urls_of
from worker.broker.connection import (
    BROKER_ERRORS,
    broker_call,
    close_quietly,
    open_channel,
    open_connection,
)
from worker.broker.messages import Outgoing
from worker.broker.topology import Topology, declare
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

Connection = TolerantConnection
_MISSING_RIGHT: Final = (
    "The user of AMQP_URL lacks this right. docs/how-to/deploy.md lists those of an operator"
)


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[Connection]:
    """Open a connection that is not restored when it is lost.

    `name` is shown in the broker's list of connections. Raises UntestedLibrary, and
    BrokerUnavailable with host and port, without the password.
    """
    check_versions()
    try:
        connection = await open_connection(url, name)
    except BROKER_ERRORS as error:
        hosts = ", ".join(map(host_of, urls_of(url)))
        reason = error_summary(error)
        question = "" if "AMQP_URL" in reason else ". Is AMQP_URL right?"
        raise BrokerUnavailable(
            f"no connection to RabbitMQ at {hosts}: {reason}{question}"
        ) from error
    try:
        yield connection
    finally:
        await close_quietly(connection)


async def publish_once(connection: Connection, message: Outgoing, *, timeout: float) -> bool:
    """Publish on a channel that is opened for this message. Returns and raises as `publish_on`."""
    try:
        channel = await open_channel(connection, confirms=True)
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error
    return await publish_on(channel, message, timeout=timeout)


async def publish_on(channel: AbstractChannel, message: Outgoing, *, timeout: float) -> bool:
    """Publish on an open channel that has confirmations. True once a queue has the message.

    False when the message is mandatory and no queue is bound for it. Raises ValueError when AMQP
    cannot hold the message, TopologyDiffers when the exchange does not exist, and BrokerUnavailable
    when no confirmation arrived within `timeout` seconds. The message may have arrived then.
    """
    try:
        async with asyncio.timeout(timeout):
            batch = send_batch(await raw_channel(channel), [with_message_id(message)])
            (confirmation,) = await broker_call(batch)
            await broker_call(confirmation)
    except PublishError:
        return False
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(f"the exchange {message.exchange!r} does not exist") from error
    except TimeoutError as error:
        raise BrokerUnavailable(
            f"no confirmation within {timeout:g} s from {message.exchange!r}"
        ) from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(f"not confirmed: {error_summary(error)}") from error
    except ENCODING_ERRORS as error:
        raise ValueError(f"AMQP cannot hold the message: {error_summary(error)}") from error
    return True


async def declare_once(connection: Connection, topology: Topology) -> None:
    """Create the missing exchanges and queues of the topology.

    Raises TopologyDiffers, naming existing ones with other properties, and BrokerUnavailable.
    """
    try:
        await broker_call(declare(await open_channel(connection), topology))
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


def error_summary(error: BaseException) -> str:
    """The first line of the error's text, at most 300 characters. Without a text, its class.

    For a refused access, it also says whose right is missing.
    """
    text = (str(error) or type(error).__name__).splitlines()[0][:300]
    return f"{text}. {_MISSING_RIGHT}" if isinstance(error, AccessRefused) else text
