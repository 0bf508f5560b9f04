"""What all contestants share: one broker, one database server, and the driver's subscriber.

The queue is the worker's own, with all its arguments, for everybody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)

from benchmarks.contestant_list import TYPE, Form, StartCommand
from benchmarks.process_usage import usage_of_session
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.processes import OwnedDirectory
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_sandbox.services.rabbitmq_local import LocalNode
from worker.broker.topology import Topology, declare

PREFIX: Final = "bench"
TOPOLOGY: Final = Topology(prefix=PREFIX)
RESULTS: Final = TOPOLOGY.exchange("results")


class _Data(msgspec.Struct):
    command_id: str


class _Event(msgspec.Struct):
    id: str
    data: _Data


class ReceivedOutcome(msgspec.Struct, frozen=True):
    """An outcome: the id of its command, the id of its event, and its arrival on the monotonic
    clock."""

    command_id: str
    event_id: str
    at: float


class BenchEnvironment:
    """The services, and the driver's operations on them."""

    def __init__(
        self,
        node: RabbitMQNode,
        channel: AbstractChannel,
        commands: AbstractExchange,
        outcomes: AbstractQueue,
        directory: Path,
        postgresql: PostgreSQLServer | None,
    ) -> None:
        self.node = node
        self.directory = directory
        self.postgresql = postgresql
        self._channel = channel
        self._commands = commands
        self._outcomes = outcomes

    def broker_cpu(self) -> float:
        """The CPU seconds of the broker; 0 where it runs in a container."""
        pid = self.node.pid if isinstance(self.node, LocalNode) else None
        return usage_of_session(pid).cpu if pid else 0.0

    async def send(self, starts: Iterable[StartCommand], form: Form) -> None:
        """Publish commands. Returns when they are in the queue."""
        await asyncio.gather(*(self.send_one(start, form) for start in starts))

    async def send_one(self, start: StartCommand, form: Form) -> None:
        """Put one command into the queue."""
        await self._commands.publish(form(start), TYPE)

    async def consumers(self) -> int:
        """The number of consumers of the command queue."""
        queue = await self._channel.declare_queue(TOPOLOGY.command_queue, passive=True)
        return queue.declaration_result.consumer_count or 0

    async def outcomes_waiting(self) -> int:
        """The number of outcomes in the driver's queue."""
        queue = await self._channel.declare_queue(self._outcomes.name, passive=True)
        return queue.declaration_result.message_count or 0

    @asynccontextmanager
    async def receive_outcomes(self) -> AsyncIterator[list[ReceivedOutcome]]:
        """A list that grows as outcomes arrive, beginning with those in the queue."""
        received: list[ReceivedOutcome] = []

        async def on_message(message: AbstractIncomingMessage) -> None:
            event = msgspec.json.decode(message.body, type=_Event)
            received.append(ReceivedOutcome(event.data.command_id, event.id, time.monotonic()))

        tag = await self._outcomes.consume(on_message, no_ack=True)
        try:
            yield received
        finally:
            await self._outcomes.cancel(tag)

    async def sweep_up(self) -> int:
        """Empty the queues between contestants; returns the number of unacknowledged commands."""
        queue = await self._channel.get_queue(TOPOLOGY.command_queue)
        left = (await queue.purge()).message_count or 0
        await self._outcomes.purge()
        return left


@asynccontextmanager
async def open_bench_environment(*, with_postgresql: bool) -> AsyncIterator[BenchEnvironment]:
    """The environment, until the block ends. Nothing of it remains then.

    Raises: LaunchError: when RabbitMQ or PostgreSQL cannot be started.
    """
    async with AsyncExitStack() as stack:
        node = stack.enter_context(await asyncio.to_thread(launch_rabbitmq, private=True))
        postgresql = None
        if with_postgresql:
            server = await asyncio.to_thread(launch_postgresql, durable=True, private=True)
            postgresql = stack.enter_context(server)
        directory = OwnedDirectory("recording-bench-")
        stack.callback(directory.remove)
        connection = await stack.enter_async_context(await aio_pika.connect(node.amqp_url))
        channel = await connection.channel()
        await declare(channel, TOPOLOGY)
        outcomes = await channel.declare_queue(f"{PREFIX}.outcomes", durable=True)
        await outcomes.bind(RESULTS, "#")
        commands = await channel.get_exchange(TOPOLOGY.exchange("commands"))
        yield BenchEnvironment(node, channel, commands, outcomes, directory.path, postgresql)
