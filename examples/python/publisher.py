"""Publishes commands to recording-worker and waits for their outcomes."""

import asyncio
import logging
import os
import sys
import uuid
from types import TracebackType
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, PublishError
from aiormq.exceptions import ChannelAccessRefused

from recording_schemas import (
    Command,
    CommandSucceeded,
    Outcome,
    StartTrackRecording,
    decode_event,
    encode_command,
)

SERVICE: Final = "my-service"  # RabbitMQ permissions are granted by this prefix
REPEAT_INTERVAL_SECONDS: Final = 300
PERMANENT: Final = (PublishError, ChannelAccessRefused, ChannelNotFoundEntity)
log = logging.getLogger(__name__)


class IdConflict(Exception):
    """Another command had this id before. This one was not executed: give it another id."""


class CommandClient:
    """`async with CommandClient(url) as client:` is all that a process needs.

    It reconnects automatically. The exchange `recording.commands` must exist: the worker creates
    it, or `recording-worker topology declare` does.
    """

    def __init__(self, amqp_url: str) -> None:
        self._amqp_url = amqp_url
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect_robust(self._amqp_url)
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._commands = await channel.get_exchange("recording.commands")
        # Not exclusive: outcomes wait in it while this process reconnects.
        self._replies = await channel.declare_queue(
            f"{SERVICE}.replies.{uuid.uuid4()}", durable=True, arguments={"x-expires": 600_000}
        )
        await self._replies.consume(self._on_reply, no_ack=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def execute(self, command: Command) -> Outcome:
        """Publish a command, and return its outcome.

        While no outcome arrives, the command is published again. That is safe because the worker
        executes an id once. The `deadline` of the command limits the wait.

        Raises:
            Malformed: if the command breaks a rule of the schema.
            IdConflict: if another command had its id before.
            PublishError: if the broker has no queue for commands.
            ChannelAccessRefused: if the user may not write to `recording.commands`.
            ChannelNotFoundEntity: if that exchange was deleted.
        """
        body = encode_command(command)
        outcome = self._outcomes.setdefault(command.id, asyncio.get_running_loop().create_future())
        try:
            while not outcome.done():
                await self._publish(body, command)
                await asyncio.wait([outcome], timeout=REPEAT_INTERVAL_SECONDS)
            return outcome.result()
        finally:
            self._outcomes.pop(command.id, None)

    async def _publish(self, body: bytes, command: Command) -> None:
        """Return when the broker has confirmed the command. Retries unless the error stays."""
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            correlation_id=command.id,
            reply_to=self._replies.name,
        )
        while True:
            try:
                await self._commands.publish(
                    message, command.command_type, mandatory=True, timeout=10
                )
            except PERMANENT:
                raise
            except (AMQPError, ConnectionError, TimeoutError) as error:
                log.warning("command %s is not confirmed, publishing again: %r", command.id, error)
                await asyncio.sleep(1)
            else:
                return

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        outcome = self._outcomes.get(message.correlation_id or "")
        if outcome is not None and not outcome.done():
            if message.headers.get("x-id-conflict"):  # the outcome is that of the other command
                outcome.set_exception(IdConflict(f"the id {message.correlation_id} is taken"))
                return
            event = decode_event(message.body)
            assert isinstance(event.data, Outcome)
            outcome.set_result(event.data)


async def main(meeting_id: str, command_id: str) -> None:
    """Record everybody in a meeting."""
    command = StartTrackRecording(id=command_id, meeting_id=meeting_id, max_seconds=7200)
    async with CommandClient(os.environ["AMQP_URL"]) as client:
        outcome = await client.execute(command)
    if not isinstance(outcome, CommandSucceeded):
        raise SystemExit(f"not recorded: {outcome}")
    print(*outcome.recording_ids)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
