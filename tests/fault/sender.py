"""Publishes commands like a careful publisher: with confirms, and again until confirmed."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractConnection, AbstractExchange

from tests.fault.run_record import SentMessage
from worker.broker.connection import BROKER_ERRORS, broker_call, close_quietly

CONFIRM_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.2

Properties = Mapping[str, Any]
NO_PROPERTIES: Final[Properties] = {}


class Sender:
    """Publishes on its own connection and remembers each message in `sent`.

    It connects to the broker directly, not through a proxy: its records must be certain.
    """

    def __init__(self, amqp_url: str, exchange: str, *, reply_to: str) -> None:
        self._url = amqp_url
        self._exchange_name = exchange
        self._reply_to = reply_to
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self.sent: list[SentMessage] = []
        self.last_failure = "none"
        """Why the last message was not confirmed at once that was not."""

    async def aclose(self) -> None:
        """Close the connection, which may be broken."""
        if self._connection is not None:
            await close_quietly(self._connection)

    async def send(
        self, command: Mapping[str, Any], *, properties: Properties = NO_PROPERTIES, **about: Any
    ) -> SentMessage:
        """Publish a command. `about` sets the fields of `SentMessage` that it does not imply.

        `properties` are more arguments of `aio_pika.Message`.
        """
        known = {
            "command_id": command["id"],
            "meeting_id": command.get("meeting_id"),
            "starts": _STARTS.get(str(command.get("type"))),
        }
        body = msgspec.json.encode(command)
        return await self.send_bytes(body, properties=properties, **{**known, **about})

    async def send_bytes(
        self,
        body: bytes,
        *,
        seconds: float = 120.0,
        properties: Properties = NO_PROPERTIES,
        **about: Any,
    ) -> SentMessage:
        """Publish these bytes and return when they are confirmed, or after the time-out."""
        message_id, has_reply_to = about["command_id"], bool(about.get("reply_to"))
        deadline = time.monotonic() + seconds
        while not (confirmed := await self._published(body, message_id, has_reply_to, properties)):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        sent = SentMessage(body=body, confirmed=confirmed, **about)
        self.sent.append(sent)
        return sent

    async def _published(
        self, body: bytes, message_id: str | None, has_reply_to: bool, properties: Properties
    ) -> bool:
        message = aio_pika.Message(
            body,
            message_id=message_id,  # without one, the library would make one up
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=self._reply_to if has_reply_to else None,
            **properties,
        )
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                exchange = await broker_call(self._opened())
                await broker_call(exchange.publish(message, "command", mandatory=True))
        except BROKER_ERRORS as error:
            self.last_failure = f"{datetime.now(UTC):%H:%M:%S.%f} {error!r}"
            self._exchange = None
            await self.aclose()  # outside the time of the next attempt: a silent broker delays it
            return False
        return True

    async def _opened(self) -> AbstractExchange:
        if self._exchange is None:
            self._connection = await aio_pika.connect(self._url)
            channel = await self._connection.channel(on_return_raises=True)
            self._exchange = await channel.get_exchange(self._exchange_name, ensure=False)
        return self._exchange


_STARTS: Final = {"start_track_recording": "track", "start_recording": "composite"}
