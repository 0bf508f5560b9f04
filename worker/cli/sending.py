"""Publishes one command, and waits for its outcome."""

import asyncio
import time
from typing import Final, NamedTuple

import click

from recording_schemas import (
    CloudEvent,
    Command,
    NotAnEvent,
    Outcome,
    ReplayRecording,
    decode_event,
    encode_command,
)
from worker.broker.admin.one_shot import Connection, connect, publish_once
from worker.broker.admin.subscriber import Subscription, subscribe
from worker.broker.messages import Outgoing
from worker.cli.context import topology_from
from worker.domain.errors import BrokerUnavailable, TopologyDiffers
from worker.domain.event_envelopes import ID_CONFLICT_HEADER
from worker.settings.settings import CommonSettings


class ReceivedOutcome(NamedTuple):
    """An outcome of a command id. `id_conflict`: it belongs to another body with this id."""

    event: CloudEvent
    id_conflict: bool


NO_QUEUE_HINT: Final = (
    "no worker has declared it yet. Start one, run `recording-worker topology declare`, or set "
    "WORKER_NAME_PREFIX to the prefix of the workers"
)


async def send(
    settings: CommonSettings, command: Command, *, wait_seconds: float | None
) -> ReceivedOutcome | None:
    """Publish the command. With `wait_seconds`, return its outcome, or None after that time.

    Raises TopologyDiffers if no queue takes it, BrokerUnavailable if the broker does not confirm,
    and click.UsageError for a command that is too large.
    """
    # The events of a replay go only to its reply address. Here the subscribers must get them.
    replay = isinstance(command, ReplayRecording)
    watched = [topology_from(settings).exchange("results")] if replay else []
    async with connect(settings.amqp_url.reveal(), "send") as connection:
        try:
            if wait_seconds is None:
                await publish(connection, settings, command, reply_to=None)
                return None
            async with subscribe(connection, watched) as replies:
                reply_to = None if replay else replies.queue
                await publish(connection, settings, command, reply_to=reply_to)
                click.echo(f"Sent {command.command_type} {command.id}", err=True)
                return await _await_outcome(replies, command, wait_seconds)
        except TopologyDiffers as error:
            raise TopologyDiffers(f"not sent: {error}: {NO_QUEUE_HINT}") from error


async def publish(
    connection: Connection,
    settings: CommonSettings,
    command: Command,
    *,
    reply_to: str | None,
) -> None:
    """Publish the command. Raises as `send` does."""
    message = _message(settings, command, reply_to)
    if not await publish_once(connection, message, timeout=settings.publish_timeout_seconds):
        raise TopologyDiffers(f"no queue is bound to {message.exchange!r}")


def _message(settings: CommonSettings, command: Command, reply_to: str | None) -> Outgoing:
    body = encode_command(command)
    if len(body) > settings.max_command_bytes:
        raise click.UsageError(
            f"the command has {len(body)} bytes, and WORKER_MAX_COMMAND_BYTES allows "
            f"{settings.max_command_bytes}"
        )
    return Outgoing(
        exchange=topology_from(settings).exchange("commands"),
        routing_key=command.command_type,
        body=body,
        content_type="application/json",
        message_id=command.id,
        correlation_id=command.id,
        reply_to=reply_to,
        type=command.command_type,
        timestamp=time.time(),
        mandatory=True,
    )


async def _await_outcome(
    replies: Subscription, command: Command, wait_seconds: float
) -> ReceivedOutcome | None:
    try:
        async with asyncio.timeout(wait_seconds):
            return await _next_outcome(replies, command)
    except TimeoutError:
        return None
    except BrokerUnavailable as error:
        raise BrokerUnavailable(
            f"{error}. The command was sent: repeat it with --id {command.id} to get its outcome"
        ) from error


async def _next_outcome(replies: Subscription, command: Command) -> ReceivedOutcome:
    while True:
        reply = await replies.next()
        try:
            event = decode_event(reply.body)
        except NotAnEvent:
            continue
        if isinstance(event.data, Outcome) and event.data.command_id == command.id:
            is_other_type = event.data.command_type != command.command_type
            return ReceivedOutcome(event, is_other_type or ID_CONFLICT_HEADER in reply.headers)
