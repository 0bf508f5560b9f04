"""A client of the worker, over RabbitMQ only: it publishes commands and receives events."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final, Self, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from recording_schemas import CloudEvent, Command, decode_event, encode_command

T = TypeVar("T")
EXCHANGES: Final = ("status", "files", "results")


class WorkerClient:
    """`async with WorkerClient(url, prefix) as client:` receives all events from then on.

    The exchanges must exist. `events` has all events in the order of arrival, with repeats.
    `on_event` is called with each of them.
    """

    def __init__(
        self,
        amqp_url: str,
        prefix: str = "recording",
        on_event: Callable[[CloudEvent], None] = lambda event: None,
    ) -> None:
        self._amqp_url = amqp_url
        self._prefix = prefix
        self._on_event = on_event
        self._received = asyncio.Event()
        self._stack = AsyncExitStack()
        self._error: Exception | None = None
        self._commands: AbstractExchange | None = None
        self.events: list[CloudEvent] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            connection = await aio_pika.connect(self._amqp_url)
            stack.push_async_callback(connection.close)
            channel = await connection.channel(on_return_raises=True)
            self._commands = await channel.get_exchange(f"{self._prefix}.commands")
            await self._subscribe(channel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _subscribe(self, channel: AbstractChannel) -> None:
        queue = await channel.declare_queue(exclusive=True)
        for name in EXCHANGES:
            await queue.bind(f"{self._prefix}.{name}", "#")
        await queue.consume(self._on_message, no_ack=True)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode_event(message.body)
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 -- raised by `until` instead
            self._error = error
        else:
            self.events.append(event)
        self._received.set()

    async def send(self, command: Command) -> None:
        """Publish a command. Returns when the broker has put it into the queue of commands."""
        await self.send_raw(
            encode_command(command), routing_key=command.command_type, message_id=command.id
        )

    async def send_raw(
        self,
        body: bytes,
        *,
        routing_key: str,
        message_id: str | None = None,
        content_type: str | None = "application/json",
    ) -> None:
        """Publish any bytes to the exchange of commands."""
        assert self._commands is not None  # noqa: S101 -- only inside the block
        message = aio_pika.Message(
            body,
            content_type=content_type,
            message_id=message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            timestamp=datetime.now(UTC),
        )
        await self._commands.publish(message, routing_key, mandatory=True)

    async def until(
        self, fact: Callable[[list[CloudEvent]], T | None], *, within: float, description: str
    ) -> T:
        """Wait until `fact(events)` is true, and return its value. Each event evaluates it again.

        Raises:
            TimeoutError: after `within` seconds; the text has the `description` of the fact.
            NotAnEvent: if a message is not an event.
        """
        try:
            async with asyncio.timeout(within):
                while not (found := fact(self.events)):
                    if self._error is not None:
                        raise self._error
                    self._received.clear()
                    await self._received.wait()
        except TimeoutError as error:
            raise TimeoutError(f"{description}: not within {within:g} s") from error
        return found
