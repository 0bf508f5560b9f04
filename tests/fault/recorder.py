"""The subscriber of the report: one durable queue that gets every published message."""

import asyncio
from asyncio import FIRST_COMPLETED
from contextlib import suppress
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from recording_sandbox.waiting import eventually
from tests.fault.run_record import ReceivedMessage
from worker.broker.connection import BROKER_ERRORS, broker_call, close_quietly
from worker.broker.topology import Topology, declare

PAUSE_SECONDS: Final = 0.2
CHECK_SECONDS: Final = 5.0
PREFETCH: Final = 500


class _Subject(msgspec.Struct):
    subject: str


class Recorder:
    """Records events, outcomes, replies and dead letters in the order of their arrival.

    All use one queue, so that `received` has the order in which the broker took them; `outcomes`
    has the first outcome of each command. The recorder survives a restart of the broker: it
    connects again. Messages that arrive twice are recorded twice.
    """

    def __init__(self, amqp_url: str, topology: Topology) -> None:
        self._url = amqp_url
        self._topology = topology
        self._connection: AbstractConnection | None = None
        self._listening: asyncio.Task[None] | None = None
        self.queue = f"{topology.prefix}.recorder"
        self.received: list[ReceivedMessage] = []
        self.outcomes: dict[str, ReceivedMessage] = {}
        self.connected = asyncio.Event()

    async def start(self) -> None:
        """Declare the worker's topology and the queue, and start to consume."""
        self._listening = asyncio.create_task(self._listen(), name="recorder")
        await asyncio.wait_for(self.connected.wait(), 30)

    async def aclose(self) -> None:
        """Stop consuming. Raises the error that ended the consumer, if any."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            if not self._listening.cancelled() and (error := self._listening.exception()):
                raise error
        if self._connection is not None:
            await self._connection.close()

    def about(self, subject: str) -> list[ReceivedMessage]:
        """The messages received so far about a command or a recording, by its id."""
        subject_json = f'"subject":"{subject}"'.encode()
        return [message for message in self.received if subject_json in message.body]

    @property
    def cancelled(self) -> int:
        """How many starts ended as cancelled by a stop."""
        bodies = (outcome.body for outcome in self.outcomes.values())
        return sum(b'"code":"cancelled"' in body for body in bodies)

    async def outcome_of(self, command_id: str, *, seconds: float = 30.0) -> ReceivedMessage:
        """The command's first outcome on the exchange, once it is published."""
        await eventually(
            lambda: command_id in self.outcomes,
            seconds=seconds,
            description=f"the outcome of {command_id}",
        )
        return self.outcomes[command_id]

    async def _listen(self) -> None:
        while True:
            try:
                await broker_call(self._session())
            except BROKER_ERRORS:
                self.connected.clear()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _session(self) -> None:
        async with asyncio.timeout(20):
            self._connection = connection = await aio_pika.connect(self._url)
            channel = await connection.channel()
            await declare(channel, self._topology)
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.declare_queue(
                self.queue, durable=True, arguments={"x-queue-type": "quorum"}
            )
            for purpose in ("status", "files", "results", "dead-letter"):
                exchange = f"{self._topology.prefix}.{purpose}"
                await queue.bind(exchange, "#")
            await queue.consume(self._take)
        self.connected.set()
        with suppress(TimeoutError):
            await _until_lost(connection, channel, self.queue)
        self.connected.clear()
        await close_quietly(connection)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        exchange = (message.exchange or "").removeprefix(f"{self._topology.prefix}.")
        received = ReceivedMessage(
            exchange=exchange,
            routing_key=message.routing_key or "",
            message_id=message.message_id,
            body=message.body,
            redelivered=bool(message.redelivered),
        )
        self.received.append(received)
        if exchange == "results":
            subject = msgspec.json.decode(message.body, type=_Subject).subject
            self.outcomes.setdefault(subject, received)
        await message.ack()


async def _until_lost(connection: AbstractConnection, channel: AbstractChannel, queue: str) -> None:
    """Return when the connection or channel is closed, or when the broker has lost our consumers.

    A node that dies can remove consumers of the other nodes without a notification.
    """
    cancelled = asyncio.Event()
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lambda _frame: cancelled.set())
    waits = [connection.closed(), channel.closed(), cancelled.wait()]
    ends = {asyncio.ensure_future(wait) for wait in waits}
    try:
        while not (await asyncio.wait(ends, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED))[0]:
            async with asyncio.timeout(CHECK_SECONDS):
                known = await channel.declare_queue(queue, passive=True)
            if not known.declaration_result.consumer_count:
                return
    finally:
        for end in ends:
            end.cancel()
