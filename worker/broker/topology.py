"""The exchanges and queues, and how they come to be on a broker."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from aio_pika.abc import AbstractChannel, ExchangeType
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from worker.domain.errors import TopologyDiffers

RPC_TIMEOUT_SECONDS: Final = 15.0
"""Seconds for one declaration: on a node that is still booting they can hang for ever."""

MAX_QUEUE_LENGTH: Final = 1_000_000
DELIVERY_LIMIT: Final = 1_000
"""Redeliveries by the broker after which it dead-letters a message itself. High on purpose: a
crash returns a whole prefetch of innocents, and broken commands are counted by the worker."""

DEAD_LETTER_DELIVERY_LIMIT: Final = 2_000_000_000
"""A dead letter may be looked at for ever; from RabbitMQ 4.0 on the default would be 20 times."""

Argument = str | int
Purpose = Literal["status", "files", "results", "commands", "dead-letter"]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A quorum queue, what it is bound to, and its arguments."""

    name: str
    arguments: dict[str, Argument]
    exchange: str | None = None
    binding: str = "#"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """All names, made from one prefix, and the steps of the delayed retries in seconds."""

    prefix: str = "recording"
    retry_delays: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)

    def exchange(self, purpose: Purpose) -> str:
        """The name of an exchange on the broker."""
        return f"{self.prefix}.{purpose}"

    @property
    def exchanges(self) -> Mapping[str, ExchangeType]:
        """Every exchange with its kind."""
        return {
            self.exchange("commands"): ExchangeType.TOPIC,
            self.exchange("status"): ExchangeType.TOPIC,
            self.exchange("files"): ExchangeType.TOPIC,
            self.exchange("results"): ExchangeType.TOPIC,
            self.exchange("dead-letter"): ExchangeType.FANOUT,
        }

    @property
    def command_queue(self) -> str:
        """Where the workers compete for commands."""
        return f"{self.prefix}.commands"

    @property
    def dead_queue(self) -> str:
        """Where commands end that cannot be executed."""
        return f"{self.prefix}.commands.dead"

    def retry_queue(self, delay_seconds: float) -> str:
        """The queue of the longest step that is not longer than asked, else the shortest."""
        fitting = [step for step in self.retry_delays if step <= delay_seconds]
        return self._retry_name(max(fitting, default=min(self.retry_delays)))

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Every queue with its arguments."""
        kept: dict[str, Argument] = {"x-queue-type": "quorum", "x-max-length": MAX_QUEUE_LENGTH}
        # At-least-once dead-lettering needs reject-publish; the default way loses messages when
        # the broker restarts between the two queues.
        onward: dict[str, Argument] = {
            "x-overflow": "reject-publish",
            "x-dead-letter-strategy": "at-least-once",
        }
        commands = Queue(
            name=self.command_queue,
            exchange=self.exchange("commands"),
            arguments={
                **kept,
                **onward,
                "x-dead-letter-exchange": self.exchange("dead-letter"),
                "x-delivery-limit": DELIVERY_LIMIT,
            },
        )
        dead = Queue(
            name=self.dead_queue,
            exchange=self.exchange("dead-letter"),
            arguments={
                **kept,
                "x-overflow": "reject-publish",
                "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT,
            },
        )
        retries = tuple(
            Queue(
                name=self._retry_name(step),
                arguments={
                    **kept,
                    **onward,
                    "x-message-ttl": round(step * 1000),
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": self.command_queue,
                },
            )
            for step in sorted(set(self.retry_delays))
        )
        return (commands, dead, *retries)

    def _retry_name(self, step: float) -> str:
        return f"{self.prefix}.commands.retry.{step:g}s"


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Create what is missing. Raises TopologyDiffers, naming what exists with other properties."""
    try:
        for name, kind in topology.exchanges.items():
            await channel.declare_exchange(name, kind, durable=True, timeout=RPC_TIMEOUT_SECONDS)
        for queue in topology.queues:
            declared = await channel.declare_queue(
                queue.name,
                durable=True,
                arguments=dict(queue.arguments),
                timeout=RPC_TIMEOUT_SECONDS,
            )
            if queue.exchange is not None:
                await declared.bind(queue.exchange, queue.binding, timeout=RPC_TIMEOUT_SECONDS)
    except ChannelPreconditionFailed as error:
        raise TopologyDiffers(
            f"the broker has something of this name with other properties: {error}. Remove it, "
            "or choose other names with WORKER_NAME_PREFIX"
        ) from error


async def verify(channel: AbstractChannel, topology: Topology) -> None:
    """Check that everything exists, creating nothing. Raises TopologyDiffers, naming what lacks.

    AMQP cannot show the arguments of a queue or its bindings; declaring compares the arguments.
    """
    try:
        for name in topology.exchanges:
            await channel.declare_exchange(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
        for queue in topology.queues:
            await channel.declare_queue(queue.name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(
            f"missing on the broker: {error}. Create it, or set WORKER_TOPOLOGY=declare"
        ) from error
