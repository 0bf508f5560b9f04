"""Publishes with confirmations, on a separate connection."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection

from worker.broker.aiormq.batch_publish import Confirmation, send_batch, with_message_id
from worker.broker.aiormq.raw_channel import RawChannel, raw_channel
from worker.broker.broker_url import user_of
from worker.broker.confirmations import (
    PublishResult,
    is_refused,
    publish_result,
    unavailable,
    wait_for_confirmations,
)
from worker.broker.connection import (
    BROKER_ERRORS,
    CLOSED_MESSAGE,
    BrokerConnection,
    broker_call,
    close_quietly,
    open_channel,
)
from worker.broker.message_copy import DEFAULT_FRAME_BYTES
from worker.broker.messages import Outgoing
from worker.broker.topology import Topology, declare, find_missing, verify
from worker.domain.errors import BrokerUnavailable, ChannelLost, LostInFlight, NotConfirmed

WATCH_INTERVAL_SECONDS: Final = 1.0
CLOSE_CHANNEL_TIMEOUT_SECONDS: Final = 2.0
MIN_CHANNEL_AGE_SECONDS: Final = 5.0
"""A younger channel is kept even if queues refuse its messages."""

BLOCKED: Final = "the broker blocks publishers: check for a memory or disk alarm"


class Publisher:
    """Publishes on one channel, and opens another one when that channel is lost.

    Its session also declares or verifies the topology, if there is one. A publish has three stages:
    it waits for a message of the same id, for a usable channel, and for confirmations. `timeout`,
    in seconds, is the deadline of each stage.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        topology: Topology | None,
        *,
        timeout: float,
        may_declare: bool = True,
    ) -> None:
        self._connection = connection
        self._topology = topology
        self._timeout = timeout
        self._may_declare = may_declare
        self._is_prepared = False
        self._channel: RawChannel | None = None
        self._opened_at = 0.0
        self._ready = asyncio.Event()
        self._in_flight: dict[str, asyncio.Future[None]] = {}

    async def session(self, connection: AbstractConnection) -> None:
        """Keep a channel open for as long as the connection lasts. Raises TopologyDiffers."""
        while not connection.is_closed:
            # Every time, because the broker closes the channel if an exchange was deleted.
            await self.prepare_topology(connection)
            channel = await open_channel(connection, confirms=True)
            raw = await raw_channel(channel)
            self._channel = raw
            self._opened_at = asyncio.get_running_loop().time()
            self._ready.set()
            try:
                await self._watch(channel, raw)
            finally:
                self._abandon(raw)

    async def prepare_topology(self, connection: AbstractConnection) -> None:
        """Declare the topology, or verify it if this worker must not declare.

        Logs what was removed since the last time, because the bindings of other programs' queues
        were removed with it. They get no events until somebody binds them again.
        """
        if self._topology is None:
            return
        missing: list[str] = []
        prepare = declare if self._may_declare else verify
        channel = await open_channel(connection)
        try:
            if self._may_declare and self._is_prepared:
                missing = await broker_call(find_missing(channel, self._topology))
            await broker_call(prepare(channel, self._topology))
        finally:
            await close_quietly(channel, CLOSE_CHANNEL_TIMEOUT_SECONDS)
        self._is_prepared = True
        if missing:
            structlog.get_logger().warning("topology_restored", missing=missing)

    async def _watch(self, channel: AbstractChannel, raw: RawChannel) -> None:
        """Report whether a broker's alarm blocks publishers, until the channel is abandoned."""
        while self._channel is raw and not channel.is_closed:
            if await _is_blocked(raw):
                self._connection.unavailable_reason = BLOCKED
            else:
                self._connection.mark_ready()
            try:
                async with asyncio.timeout(WATCH_INTERVAL_SECONDS):
                    await channel.closed()
            except TimeoutError:
                pass

    @property
    def user(self) -> str | None:
        """The user that the connection's URL names. None without a connection."""
        return None if self._channel is None else user_of(self._channel.connection.url)

    @property
    def max_frame_bytes(self) -> int:
        """The largest content of a frame, in bytes."""
        return DEFAULT_FRAME_BYTES if self._channel is None else self._channel.max_content_size

    @property
    def is_ready(self) -> bool:
        """Whether a message can be published now."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Return once a message can be published."""
        await self._ready.wait()

    async def publish(self, message: Outgoing) -> bool:
        """Publish one message, and return once the broker has confirmed it.

        False when the message is mandatory and no queue took it, because there is none or it is
        full. Raises BrokerUnavailable when a deadline passed. The message may have arrived then.
        """
        (result,) = await self.publish_all([message])
        if isinstance(result, BrokerUnavailable):
            raise result
        return result

    async def publish_all(self, messages: Sequence[Outgoing]) -> list[PublishResult]:
        """Publish in this order, all in flight at once. Return the result of each message.

        No two of them may have the same `message_id`.
        """
        messages = [with_message_id(message) for message in messages]
        ids = [str(message.message_id) for message in messages]
        try:
            if any(key in self._in_flight for key in ids):
                await self._wait_for_ids(ids, messages[0])
            finished = self._reserve(ids)
            try:
                channel, confirmations = await self._send(messages)
                late = await self._await_confirmations(channel, confirmations, messages[0])
            finally:
                self._release(ids, finished)
            if any(map(is_refused, confirmations)):
                await self._replace_old(channel)
        except BrokerUnavailable as error:
            return [error] * len(messages)
        results = [
            publish_result(message, confirmation, late)
            for message, confirmation in zip(messages, confirmations, strict=True)
        ]
        if any(isinstance(result, ChannelLost | LostInFlight) for result in results):
            self._abandon(channel)
        return results

    async def _wait_for_ids(self, ids: Sequence[str], message: Outgoing) -> None:
        """Wait while a message of the same id is in flight, because the library would hang.

        The library waits forever for the second of two messages of one id on a channel.
        """
        try:
            async with asyncio.timeout(self._timeout):
                while earlier := {self._in_flight[key] for key in ids if key in self._in_flight}:
                    await asyncio.wait(earlier)
        except TimeoutError as error:
            raise BrokerUnavailable(await self._no_channel_reason(message)) from error

    def _reserve(self, ids: Sequence[str]) -> asyncio.Future[None]:
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight.update(dict.fromkeys(ids, finished))
        return finished

    def _release(self, ids: Sequence[str], finished: asyncio.Future[None]) -> None:
        for key in ids:
            del self._in_flight[key]
        finished.set_result(None)

    async def _send(self, messages: Sequence[Outgoing]) -> tuple[RawChannel, list[Confirmation]]:
        """Pass the messages to the writer of a channel that no alarm blocks.

        Raises BrokerUnavailable.
        """
        channel: RawChannel | None = None
        try:
            async with asyncio.timeout(self._timeout):  # one timer for both steps
                channel = await self._get_channel()
                return channel, await broker_call(send_batch(channel, messages))
        except TimeoutError as error:
            reason = (
                await self._replace_silent(channel, messages[0])
                if channel is not None
                else await self._no_channel_reason(messages[0])
            )
            raise BrokerUnavailable(reason) from error
        except BROKER_ERRORS as error:
            raise unavailable(error) from error

    async def _get_channel(self) -> RawChannel:
        """Wait for a channel that no alarm of the broker blocks."""
        while True:
            while (channel := self._channel) is None:
                await self._ready.wait()
            await broker_call(channel.connection.ready())
            if channel is self._channel:
                return channel

    async def _await_confirmations(
        self, channel: RawChannel, confirmations: Sequence[Confirmation], message: Outgoing
    ) -> BrokerUnavailable:
        """Wait for the confirmations. Return the result of those that were cancelled as late."""
        if await wait_for_confirmations(confirmations, self._timeout):
            return BrokerUnavailable(CLOSED_MESSAGE)
        reason = await self._replace_silent(channel, message)
        return BrokerUnavailable(reason) if reason == BLOCKED else NotConfirmed(reason)

    async def _no_channel_reason(self, message: Outgoing) -> str:
        channel = self._channel
        if channel is None:
            return "there is no connection"
        if await _is_blocked(channel):
            self._connection.unavailable_reason = BLOCKED
            return BLOCKED
        return self._late_message(message)

    async def _replace_silent(self, channel: RawChannel, message: Outgoing) -> str:
        """Replace a channel without confirmations, unless an alarm blocks it. Returns the reason
        for the missing ones."""
        if await _is_blocked(channel):
            self._connection.unavailable_reason = BLOCKED
            return BLOCKED
        if self._channel is channel:
            self._connection.unavailable_reason = f"no confirmation within {self._timeout:g} s"
            structlog.get_logger().warning("publish_channel_replaced")
            self._abandon(channel)
            await close_quietly(channel, CLOSE_CHANNEL_TIMEOUT_SECONDS)
        return self._late_message(message)

    def _late_message(self, message: Outgoing) -> str:
        destination = message.exchange or message.routing_key
        return f"no confirmation within {self._timeout:g} s from {destination!r}"

    async def _replace_old(self, channel: RawChannel) -> None:
        """Replace a channel whose messages a queue refused, unless the channel is still new.

        A full queue refuses on every channel. But a channel may have first published to a queue
        while the queue had no leader. RabbitMQ then refuses on this channel until the last leader's
        node returns. A new channel reaches the new leader.
        """
        age = asyncio.get_running_loop().time() - self._opened_at
        if self._channel is channel and age >= MIN_CHANNEL_AGE_SECONDS:
            self._abandon(channel)
            await close_quietly(channel, CLOSE_CHANNEL_TIMEOUT_SECONDS)

    def _abandon(self, channel: RawChannel) -> None:
        """Do not use this channel again. `session` opens another one. A newer channel is not
        affected."""
        if self._channel is channel:
            self._channel = None
            self._ready.clear()


async def _is_blocked(channel: RawChannel) -> bool:
    try:
        async with asyncio.timeout(0):
            await channel.connection.ready()
    except TimeoutError:
        return True
    return False
