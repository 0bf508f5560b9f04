"""Publishing with confirms and deadlines."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError
from pamqp.commands import Basic

from worker.broker.link import BROKER_TROUBLE, Link, from_broker, open_channel
from worker.broker.messages import Outgoing
from worker.broker.topology import DEADLINE, Topology, declare, verify
from worker.errors import BrokerUnavailable

PERSISTENT: Final = 2
SHORT_STRING: Final = 255
WATCH_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 2.0
UNFIT: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What encoding raises for a message that does not fit AMQP's frames: it was not sent."""

BLOCKED: Final = "the broker blocks publishers: a memory or disk alarm"


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
        while not connection.is_closed:
            # Each time: the broker closes the channel over an exchange that somebody deleted.
            await self.see_to_topology(connection)
            opened = await open_channel(connection, confirms=True)
            channel = await opened.get_underlay_channel()
            assert isinstance(channel, Channel)  # noqa: S101 - the abstract one lacks a flag
            self._channel = channel
            self._ready.set()
            try:
                await self._watch(opened, channel)
            finally:
                self._give_up(channel)

    async def see_to_topology(self, connection: AbstractConnection) -> None:
        """Declare the topology, or verify it where that is all this worker may do."""
        channel = await open_channel(connection)
        await from_broker(self._prepare(channel, self._topology))
        async with asyncio.timeout(DEADLINE):
            await from_broker(channel.close())

    async def _watch(self, opened: AbstractChannel, channel: Channel) -> None:
        """Until the channel is given up: tell whether an alarm of the broker blocks publishers."""
        while self._channel is channel and not opened.is_closed:
            if await _is_blocked(channel):
                self._link.trouble = BLOCKED
            else:
                self._link.working()
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await opened.closed()
            except TimeoutError:
                pass

    @property
    def is_ready(self) -> bool:
        """Whether something can be published now."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Return once something can be published."""
        await self._ready.wait()

    async def publish(self, message: Outgoing) -> bool:
        """Return once the broker has confirmed: True when a queue took it.

        False when the message was mandatory and no queue took it: none was there, or it was full.
        Raises BrokerUnavailable when there was no channel, or then no confirmation, each within
        the deadline; the message may have been taken all the same.
        """
        channel: Channel | None = None
        try:
            async with asyncio.timeout(self._timeout) as deadline, self._turn(message.message_id):
                channel = await self._usable_channel()
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
                await from_broker(_publish(channel, message))
                return True
        except DeliveryError as error:
            if message.mandatory:
                return False
            raise BrokerUnavailable(f"a queue of {message.exchange!r} is full") from error
        except TimeoutError as error:
            raise BrokerUnavailable(await self._why_late(channel, message)) from error
        except (*BROKER_TROUBLE, *UNFIT) as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}"[:300]) from error

    @asynccontextmanager
    async def _turn(self, message_id: str | None) -> AsyncIterator[None]:
        """Two publishes with one message id in flight on a channel: one would hang for ever."""
        if message_id is None:
            yield
            return
        while (earlier := self._in_flight.get(message_id)) is not None:
            await asyncio.wait([earlier])
        done = asyncio.get_running_loop().create_future()
        self._in_flight[message_id] = done
        try:
            yield
        finally:
            del self._in_flight[message_id]
            done.set_result(None)

    async def _usable_channel(self) -> Channel:
        while True:
            while (channel := self._channel) is None:
                await self._ready.wait()
            await from_broker(channel.connection.ready())  # an alarm of the broker blocks it
            if channel is self._channel:
                return channel

    async def _why_late(self, channel: Channel | None, message: Outgoing) -> str:
        """In words; a channel that missed a confirmation is not trusted any more."""
        used = channel or self._channel
        if used is None:
            return "there is no connection"
        if await _is_blocked(used):
            self._link.trouble = BLOCKED
            return BLOCKED
        if channel is not None and self._channel is channel:
            self._link.trouble = f"no confirmation within {self._timeout:g} s"
            structlog.get_logger().warning("publish_channel_replaced")
            self._give_up(channel)
            await _close_quietly(channel)
        return f"no confirmation within {self._timeout:g} s from {message.exchange!r}"

    def _give_up(self, channel: Channel) -> None:
        """Use it no more; `session` opens another one. A newer one is left alone."""
        if self._channel is channel:
            self._channel = None
            self._ready.clear()


async def _publish(channel: Channel, message: Outgoing) -> None:
    await channel.basic_publish(
        message.body,
        exchange=message.exchange,
        routing_key=message.routing_key,
        properties=_properties(message),
        mandatory=message.mandatory,
        wait=False,
    )


async def _close_quietly(channel: Channel) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await from_broker(channel.close())
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
