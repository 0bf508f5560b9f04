"""A dead-letter queue with messages from workers and from the broker, as other clients see it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError
from aiormq.abc import ChannelFrame, FrameType
from aiormq.channel import Channel
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from recording_sandbox.waiting import eventually as wait_for_fact
from worker.broker.topology import Topology, declare

RECORDING = "97f1f6a2-1111-4222-8333-944455556666"
FIRST_SEEN = "2025-01-01T10:00:00.000+00:00"


class BrokerQueues:
    """The queues of one test, as other clients see them."""

    def __init__(self, channel: AbstractChannel, unconfirmed: AbstractChannel, prefix: str) -> None:
        self.channel = channel
        self.unconfirmed = unconfirmed
        self.prefix = prefix
        self._buried = 0

    async def bury(self, body: bytes, *, key: str = "sync_recording", **properties: Any) -> None:
        """Publish a dead letter as a worker does, each one a second later than the last."""
        self._buried += 1
        last_seen = datetime.fromisoformat(FIRST_SEEN) + timedelta(seconds=self._buried)
        headers = {
            "x-attempts": 1,
            "x-first-seen": FIRST_SEEN,
            "x-last-seen": last_seen.isoformat(),
            "x-original-routing-key": key,
            "x-reason-code": "invalid_field",
            "x-reason": "field `recording_id`: must be a UUID",
            **properties.pop("headers", {}),
        }
        message = aio_pika.Message(
            body, headers=headers, content_type="application/json", **properties
        )
        exchange = await self.channel.get_exchange(f"{self.prefix}.dead-letter")
        await exchange.publish(message, key)

    async def limit_deliveries_of_letters(self, limit: int) -> None:
        """Declare a dead-letter queue that returns requeued messages to its front, not to its
        end."""
        name = f"{self.prefix}.commands.dead"
        await self.channel.queue_delete(name)
        queue = await self.channel.declare_queue(
            name, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": limit}
        )
        await queue.bind(f"{self.prefix}.dead-letter", "#")

    async def fill_commands(self) -> None:
        """Replace the command queue by one that is full and refuses every command."""
        name = f"{self.prefix}.commands"
        await self.channel.queue_delete(name)
        queue = await self.channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-max-length": 1,
                "x-overflow": "reject-publish",
            },
        )
        await queue.bind(name, "#")

        async def is_full() -> bool:
            try:
                await self.channel.default_exchange.publish(aio_pika.Message(b"{}"), name)
            except DeliveryError:
                return True
            return False

        await wait_for_fact(is_full)

    async def bury_commands(self, *ids: str, **properties: Any) -> None:
        for command_id in ids:
            await self.bury(sync(command_id), **properties)

    async def waiting(self, queue: str = "commands.dead") -> int:
        declared = await self.channel.declare_queue(f"{self.prefix}.{queue}", passive=True)
        return declared.declaration_result.message_count or 0

    async def take(self, queue: str = "commands") -> AbstractIncomingMessage:
        taken = await (await self.channel.get_queue(f"{self.prefix}.{queue}")).get(timeout=10)
        await taken.ack()
        return taken

    async def dead(self) -> list[str]:
        """Take all dead letters out of the queue; returns their ids, oldest first.

        They are not counted first, because a busy broker that cannot count a queue reports that it
        is empty.
        """
        found: list[tuple[str, str]] = []
        queue = await self.channel.get_queue(f"{self.prefix}.commands.dead")
        while (taken := await queue.get(timeout=10, fail=False)) is not None:
            await taken.ack()
            command_id = str(msgspec.json.decode(taken.body)["id"])
            found.append((str(taken.headers.get("x-last-seen")), command_id))
        return [command_id for _, command_id in sorted(found)]


@asynccontextmanager
async def open_broker_queues(amqp_url: str, prefix: str) -> AsyncIterator[BrokerQueues]:
    """The queues of this prefix, declared as workers declare them."""
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        unconfirmed = await connection.channel(publisher_confirms=False)
        await declare(unconfirmed, Topology(prefix=prefix))
        yield BrokerQueues(await connection.channel(), unconfirmed, prefix)


def sync(command_id: str, **fields: object) -> bytes:
    return msgspec.json.encode(
        {"type": "sync_recording", "id": command_id, "recording_id": RECORDING, **fields}
    )


def column(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


async def has(broker: BrokerQueues, number: int, queue: str = "commands.dead") -> bool:
    return await broker.waiting(queue) == number


async def send(broker: BrokerQueues, body: bytes, **properties: Any) -> None:
    exchange = await broker.channel.get_exchange(f"{broker.prefix}.commands")
    await exchange.publish(aio_pika.Message(body, **properties), "sync_recording")


async def send_without_id(broker: BrokerQueues, body: bytes) -> None:
    """Bypass the library's publish call, which gives every message an id."""
    frames: list[FrameType | ContentBody] = [
        Basic.Publish(exchange=f"{broker.prefix}.commands", routing_key="sync_recording"),
        ContentHeader(body_size=len(body), properties=Basic.Properties(delivery_mode=2)),
        ContentBody(body),
    ]
    channel = await broker.unconfirmed.get_underlay_channel()
    assert isinstance(channel, Channel)
    await channel.write_queue.put(
        ChannelFrame.marshall(frames=frames, channel_number=channel.number)
    )
    await wait_for_fact(lambda: has(broker, 1, "commands"))


async def refuse(broker: BrokerQueues) -> None:
    """Let the broker itself dead-letter the next command."""
    commands = await broker.channel.get_queue(f"{broker.prefix}.commands")
    waiting = await broker.waiting()
    await (await commands.get(timeout=10)).reject(requeue=False)
    await wait_for_fact(lambda: has(broker, waiting + 1))
