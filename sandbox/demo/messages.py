"""A user of the worker: publishes commands to it and hears its events, over RabbitMQ only."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from recording_schemas import CloudEvent, Command, decode_event, encode_command

T = TypeVar("T")
EXCHANGES: Final = ("status", "files", "results")


class Messages:
    """`async with Messages(url, prefix) as messages:` hears all events from then on.

    The exchanges must exist. `events` are in the order they came, repeats included; `on_event` is
    called with each.
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
        self._news = asyncio.Event()
        self._stack = AsyncExitStack()
        self._trouble: Exception | None = None
        self._commands: AbstractExchange | None = None
        self.events: list[CloudEvent] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            connection = await aio_pika.connect(self._amqp_url)
            stack.push_async_callback(connection.close)
            channel = await connection.channel(on_return_raises=True)
            self._commands = await channel.get_exchange(f"{self._prefix}.commands")
            await self._listen(channel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _listen(self, channel: AbstractChannel) -> None:
        queue = await channel.declare_queue(exclusive=True)
        for name in EXCHANGES:
            await queue.bind(f"{self._prefix}.{name}", "#")
        await queue.consume(self._take, no_ack=True)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode_event(message.body)
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - nobody sees what a callback raises
            self._trouble = error
        else:
            self.events.append(event)
        self._news.set()

    async def send(self, command: Command) -> None:
        """Publish a command; returns when the broker has put it into the workers' queue."""
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
        """Publish any bytes as if they were a command."""
        assert self._commands is not None  # noqa: S101 - only inside the block
        message = aio_pika.Message(
            body,
            content_type=content_type,
            message_id=message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            timestamp=datetime.now(UTC),
        )
        await self._commands.publish(message, routing_key, mandatory=True)

    async def until(
        self, fact: Callable[[list[CloudEvent]], T | None], *, within: float, what: str
    ) -> T:
        """Wait until `fact(events)` is true, and return it. Looks again after each event.

        Raises:
            TimeoutError: when `what` did not come within so many seconds.
            NotAnEvent: when something came that is no event.
        """
        try:
            async with asyncio.timeout(within):
                while not (found := fact(self.events)):
                    if self._trouble is not None:
                        raise self._trouble
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as late:
            raise TimeoutError(f"{what}: not within {within:g} s") from late
        return found
