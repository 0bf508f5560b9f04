"""Publishing with confirms and deadlines."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from worker.broker.link import BROKER_TROUBLE, Link
from worker.broker.messages import Outgoing
from worker.broker.topology import Topology, declare, verify
from worker.errors import BrokerUnavailable

PERSISTENT: Final = 2
SHORT_STRING: Final = 255
WATCH_SECONDS: Final = 1.0


class Publisher:
    """Publishes on a connection of its own; its session also sees to the topology."""

    def __init__(
        self, link: Link, topology: Topology, *, timeout: float, may_declare: bool = True
    ) -> None:
        self._link = link
        self._topology = topology
        self._timeout = timeout
        self._prepare = declare if may_declare else verify
        self._channel: Channel | None = None
        self._ready = asyncio.Event()
        self._in_flight: dict[str, asyncio.Future[None]] = {}

    async def session(self, connection: AbstractConnection) -> None:
        """Stay ready for as long as the connection lasts. Raises TopologyDiffers."""
        preparing = await connection.channel(publisher_confirms=False)
        await self._prepare(preparing, self._topology)
        await preparing.close()
        while not connection.is_closed:
            async with asyncio.timeout(self._timeout):
                channel = await connection.channel(on_return_raises=True)
                underlay = await channel.get_underlay_channel()
            assert isinstance(underlay, Channel)  # noqa: S101 - the abstract one lacks a flag
            self._channel = underlay
            self._ready.set()
            try:
                await self._watch(channel, underlay)
            finally:
                self._ready.clear()
                self._channel = None

    async def _watch(self, opened: AbstractChannel, channel: Channel) -> None:
        """Until the channel is closed: tell whether an alarm of the broker blocks publishers."""
        while not opened.is_closed:
            if await _is_blocked(channel):
                self._link.trouble = "the broker blocks publishers: a memory or disk alarm"
            else:
                self._link.working()
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await opened.closed()
            except TimeoutError:
                pass

    async def wait_ready(self) -> None:
        """Return once something can be published."""
        await self._ready.wait()

    async def publish(self, message: Outgoing) -> bool:
        """Return once the broker has confirmed: True when a queue took it.

        False when the message was mandatory and no queue was there for it. Raises
        BrokerUnavailable when there was no confirmation within the deadline; the message may have
        been taken all the same.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._publish_alone(message)
        except PublishError:
            return False
        except TimeoutError as error:
            channel = self._channel
            if channel is not None and await _is_blocked(channel):
                raise BrokerUnavailable("the broker blocks publishers") from error
            await self._replace_channel()
            raise BrokerUnavailable(
                f"no confirmation within {self._timeout:g} s from {message.exchange!r}"
            ) from error
        except (DeliveryError, *BROKER_TROUBLE) as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}"[:300]) from error

    async def _publish_alone(self, message: Outgoing) -> bool:
        """Two publishes with one message id in flight on a channel: one would hang for ever."""
        key = message.message_id
        if key is None:
            return await self._publish_now(message)
        while (earlier := self._in_flight.get(key)) is not None:
            await asyncio.wait([earlier])
        done = asyncio.get_running_loop().create_future()
        self._in_flight[key] = done
        try:
            return await self._publish_now(message)
        finally:
            del self._in_flight[key]
            done.set_result(None)

    async def _publish_now(self, message: Outgoing) -> bool:
        while (channel := self._channel) is None:
            await self._ready.wait()
        await channel.connection.ready()  # an alarm of the broker blocks it
        await channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            properties=_properties(message),
            mandatory=message.mandatory,
            wait=False,
        )
        return True

    async def _replace_channel(self) -> None:
        """After a missed confirmation the channel cannot be trusted; `session` opens a new one."""
        channel, self._channel = self._channel, None
        self._ready.clear()
        if channel is not None and not channel.is_closed:
            structlog.get_logger().warning("publish_channel_replaced")
            try:
                async with asyncio.timeout(2):
                    await channel.close()
            except BROKER_TROUBLE:
                pass


async def _is_blocked(channel: Channel) -> bool:
    try:
        async with asyncio.timeout(0):
            await channel.connection.ready()
    except TimeoutError:
        return True
    return False


def _properties(message: Outgoing) -> Basic.Properties:
    return Basic.Properties(
        content_type=message.content_type,
        headers=dict(message.headers) or None,  # type: ignore[arg-type]  # checked by the broker
        delivery_mode=PERSISTENT,
        correlation_id=_short(message.correlation_id),
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=None
        if message.timestamp is None
        else datetime.fromtimestamp(message.timestamp, UTC),
        message_type=message.type,
    )


def _short(text: str | None) -> str | None:
    """At most 255 bytes, AMQP's bound of a short string: a command's id may be longer."""
    return None if text is None else text.encode()[:SHORT_STRING].decode(errors="ignore")
