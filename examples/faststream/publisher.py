"""Publishes a command with FastStream and waits for its outcome (RPC)."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange

from recording_schemas import (
    Command,
    CommandSucceeded,
    Outcome,
    StartTrackRecording,
    encode_command,
)
from recording_schemas.faststream import event_decoder

# The worker creates it: `declare=False` only refers to it.
COMMANDS: Final = RabbitExchange("recording.commands", type=ExchangeType.TOPIC, declare=False)


class IdConflict(Exception):
    """Another command had this id before. This one was not executed: give it another id."""


async def execute(broker: RabbitBroker, command: Command, *, seconds: float) -> Outcome:
    """Publish a command, and return its outcome.

    After a TimeoutError, execute the same command again. That is safe because the worker executes
    an id once. Raises IdConflict if another command had the id before.
    """
    reply = await broker.request(
        encode_command(command),
        exchange=COMMANDS,
        routing_key=command.command_type,
        content_type="application/json",
        persist=True,
        timeout=seconds,
    )
    if reply.headers.get("x-id-conflict"):  # the outcome is that of the other command
        raise IdConflict(f"the id {command.id} is taken")
    event = await event_decoder(reply)
    assert isinstance(event.data, Outcome)
    return event.data


async def main(meeting_id: str, command_id: str) -> None:
    """Record everybody in a meeting."""
    command = StartTrackRecording(
        id=command_id, meeting_id=meeting_id, deadline=datetime.now(UTC) + timedelta(seconds=60)
    )
    # If no queue accepts the command, raise an error, because no reply would ever arrive.
    channel = Channel(on_return_raises=True)
    async with RabbitBroker(os.environ["AMQP_URL"], default_channel=channel) as broker:
        outcome = await execute(broker, command, seconds=70)
    if not isinstance(outcome, CommandSucceeded):
        raise SystemExit(f"not recorded: {outcome}")
    print(*outcome.recording_ids)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
