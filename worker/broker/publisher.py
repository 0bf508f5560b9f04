"""Publishing with confirms and deadlines."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError
from pamqp.commands import Basic

from worker.broker.aiormq.batch_publish import Confirmation, send_batch, with_message_id
from worker.broker.connection import (
    BROKER_ERRORS,
    CLOSED_MESSAGE,
    BrokerConnection,
    broker_call,
    open_channel,
)
from worker.broker.messages import Outgoing
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology, declare, verify
from worker.domain.errors import BrokerUnavailable

WATCH_INTERVAL_SECONDS: Final = 1.0
CLOSE_TIMEOUT_SECONDS: Final = 2.0
MIN_CHANNEL_AGE_SECONDS: Final = 5.0
"""How long a channel on which messages are refused is kept at least."""
BLOCKED: Final = "the broker blocks publishers: a memory or disk alarm"

PublishResult = bool | BrokerUnavailable
"""True: a queue took it, or nobody need have. False: it was mandatory and no queue took it."""


class Publisher:
    """Publishes on a connection of its own; its session also sees to the topology."""

    def __init__(
        self,
        link: BrokerConnection,
        topology: Topology,
        *,
        timeout: float,
        may_declare: bool = True,
    ) -> None:
        self._link = link
        self._topology = topology
        self._timeout = timeout
        self._prepare = declare if may_declare else verify
        self._channel: Channel | None = None
        self._opened_at = 0.0
        self._ready = asyncio.Event()
        self._in_flight: dict[str, asyncio.Future[None]] = {}

    async def session(self, connection: AbstractConnection) -> None:
        """Stay ready for as long as the connection lasts. Raises TopologyDiffers."""
        while not connection.is_closed:
            # Each time: the broker closes the channel over an exchange that somebody deleted.
            await self.prepare_topology(connection)
            opened = await open_channel(connection, confirms=True)
            channel = await opened.get_underlay_channel()
            assert isinstance(channel, Channel)  # noqa: S101 - the abstract one lacks a flag
            self._channel = channel
            self._opened_at = asyncio.get_running_loop().time()
            self._ready.set()
            try:
                await self._watch(opened, channel)
            finally:
                self._give_up(channel)

    async def prepare_topology(self, connection: AbstractConnection) -> None:
        """Declare the topology, or verify it where that is all this worker may do."""
        channel = await open_channel(connection)
        await broker_call(self._prepare(channel, self._topology))
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            await broker_call(channel.close())

    async def _watch(self, opened: AbstractChannel, channel: Channel) -> None:
        """Until the channel is given up: tell whether an alarm of the broker blocks publishers."""
        while self._channel is channel and not opened.is_closed:
            if await _is_blocked(channel):
                self._link.unavailable_reason = BLOCKED
            else:
                self._link.mark_ready()
            try:
                async with asyncio.timeout(WATCH_INTERVAL_SECONDS):
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
        (published,) = await self.publish_all([message])
        if isinstance(published, BrokerUnavailable):
            raise published
        return published

    async def publish_all(self, messages: Sequence[Outgoing]) -> list[PublishResult]:
        """Publish in this order, all in flight at once: what `publish` returns or raises, for each.

        No two of them may have the same `message_id`.
        """
        named = [with_message_id(message) for message in messages]
        channel: Channel | None = None
        try:
            async with asyncio.timeout(self._timeout) as deadline, self._turns(named):
                channel = await self._usable_channel()
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
                confirmations = await broker_call(send_batch(channel, named))
                deadline.reschedule(None)  # from here on each is late or in time by itself
                late = await self._late(confirmations)
                why_late = await self._why_late(channel, named[0]) if late else CLOSED_MESSAGE
            if any(map(_is_refused, confirmations)):
                await self._replace_old(channel)
        except TimeoutError:
            return [BrokerUnavailable(await self._why_late(channel, named[0]))] * len(named)
        except BROKER_ERRORS as error:
            return [_unavailable(error)] * len(named)
        return [
            _published(message, confirmation, why_late)
            for message, confirmation in zip(named, confirmations, strict=True)
        ]

    async def _late(self, confirmations: Iterable[Confirmation]) -> list[Confirmation]:
        """Those that do not come: given up once none at all has come within the deadline.

        A broker that is slow with many is not one that is silent.
        """
        waiting = set(confirmations)
        came = waiting
        try:
            while waiting and came:
                came, waiting = await asyncio.wait(waiting, timeout=self._timeout)
        finally:
            late = [one for one in waiting if one.cancel()]
        return late

    @asynccontextmanager
    async def _turns(self, messages: Sequence[Outgoing]) -> AsyncIterator[None]:
        """Two publishes with one message id in flight on a channel: one would hang for ever."""
        ids = [str(message.message_id) for message in messages]
        while earlier := {self._in_flight[one] for one in ids if one in self._in_flight}:
            await asyncio.wait(earlier)
        done = asyncio.get_running_loop().create_future()
        self._in_flight.update(dict.fromkeys(ids, done))
        try:
            yield
        finally:
            for one in ids:
                del self._in_flight[one]
            done.set_result(None)

    async def _usable_channel(self) -> Channel:
        while True:
            while (channel := self._channel) is None:
                await self._ready.wait()
            await broker_call(channel.connection.ready())  # an alarm of the broker blocks it
            if channel is self._channel:
                return channel

    async def _why_late(self, channel: Channel | None, message: Outgoing) -> str:
        """In words; a channel that missed a confirmation is not trusted any more."""
        used = channel or self._channel
        if used is None:
            return "there is no connection"
        if await _is_blocked(used):
            self._link.unavailable_reason = BLOCKED
            return BLOCKED
        if channel is not None and self._channel is channel:
            self._link.unavailable_reason = f"no confirmation within {self._timeout:g} s"
            structlog.get_logger().warning("publish_channel_replaced")
            self._give_up(channel)
            await _close_quietly(channel)
        return f"no confirmation within {self._timeout:g} s from {message.exchange!r}"

    async def _replace_old(self, channel: Channel) -> None:
        """Replace a channel that has refused messages, unless it is still new.

        A full queue refuses on every channel. But on one that first published to a queue while
        nobody led it, RabbitMQ refuses for as long as the last leader's node is away, although
        another node leads meanwhile and takes what comes on a new channel.
        """
        age = asyncio.get_running_loop().time() - self._opened_at
        if self._channel is channel and age >= MIN_CHANNEL_AGE_SECONDS:
            self._give_up(channel)
            await _close_quietly(channel)

    def _give_up(self, channel: Channel) -> None:
        """Use it no more; `session` opens another one. A newer one is left alone."""
        if self._channel is channel:
            self._channel = None
            self._ready.clear()


def _published(message: Outgoing, confirmation: Confirmation, why_late: str) -> PublishResult:
    if confirmation.cancelled():
        return BrokerUnavailable(why_late)
    error = confirmation.exception()
    if error is None:
        return True
    if not isinstance(error, DeliveryError):
        return _unavailable(error)
    full = BrokerUnavailable(f"a queue of {message.exchange!r} is full or has no leader")
    return False if message.mandatory else full


def _is_refused(confirmation: Confirmation) -> bool:
    if confirmation.cancelled():
        return False
    error = confirmation.exception()
    return isinstance(error, DeliveryError) and isinstance(error.frame, Basic.Nack)


def _unavailable(error: BaseException) -> BrokerUnavailable:
    # What waits for a channel that closes ends with one of these, which say nothing.
    closed = type(error) in {Exception, asyncio.CancelledError}
    unavailable = BrokerUnavailable(
        CLOSED_MESSAGE if closed else f"{type(error).__name__}: {error}"[:300]
    )
    unavailable.__cause__ = error
    return unavailable


async def _close_quietly(channel: Channel) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await broker_call(channel.close())
    except BROKER_ERRORS:
        pass


async def _is_blocked(channel: Channel) -> bool:
    try:
        async with asyncio.timeout(0):
            await channel.connection.ready()
    except TimeoutError:
        return True
    return False
