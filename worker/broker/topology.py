"""The exchanges and queues, and their declaration on a broker."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Final, Literal

import msgspec
from aio_pika.abc import AbstractChannel, ExchangeType
from aio_pika.exceptions import (
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from worker.broker.aiormq.raw_channel import AccessRefused
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

RPC_TIMEOUT_SECONDS: Final = 15.0
"""The deadline of one call. On a node that is still booting, a declaration can hang forever."""

MAX_QUEUE_LENGTH: Final = 1_000_000
DELIVERY_LIMIT: Final = 1_000
"""After this many redeliveries the broker dead-letters a message itself. It is high on purpose,
because a crash returns a whole prefetch of harmless commands. The worker itself counts the commands
that crash it."""

DEAD_LETTER_DELIVERY_LIMIT: Final = 2_000_000_000
"""A dead letter can be shown any number of times. From RabbitMQ 4.0 on the default is 20."""

Argument = str | int
PassiveDeclaration = Callable[[AbstractChannel], Awaitable[None]]
Purpose = Literal["status", "files", "results", "commands", "dead-letter"]


_COMMON: Final[Mapping[str, Argument]] = {
    "x-queue-type": "quorum",
    "x-max-length": MAX_QUEUE_LENGTH,
    "x-overflow": "reject-publish",
}

_STRATEGY: Final = "at-least-once"
"""The default strategy loses messages when the broker restarts between the two queues. This one
needs reject-publish."""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A quorum queue, the exchange that it is bound to, and its arguments."""

    name: str
    arguments: dict[str, Argument]
    exchange: str | None = None
    binding: str = "#"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The names of all exchanges and queues, with one prefix. `retry_delays` are in seconds."""

    prefix: str = "recording"
    retry_delays: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)

    def exchange(self, purpose: Purpose) -> str:
        """The name of an exchange on the broker."""
        return f"{self.prefix}.{purpose}"

    @property
    def exchanges(self) -> Mapping[str, ExchangeType]:
        """The kind of every exchange, by its name."""
        return {
            self.exchange("commands"): ExchangeType.TOPIC,
            self.exchange("status"): ExchangeType.TOPIC,
            self.exchange("files"): ExchangeType.TOPIC,
            self.exchange("results"): ExchangeType.TOPIC,
            self.exchange("dead-letter"): ExchangeType.FANOUT,
        }

    @property
    def command_queue(self) -> str:
        """The queue on which the workers compete for commands."""
        return f"{self.prefix}.commands"

    @property
    def dead_queue(self) -> str:
        """The queue of commands that cannot be executed."""
        return f"{self.prefix}.commands.dead"

    def retry_queue(self, delay_seconds: float) -> str:
        """The queue with the longest delay of at most `delay_seconds`, else the shortest delay."""
        fitting = [delay for delay in self.retry_delays if delay <= delay_seconds]
        return self._retry_queue_name(max(fitting, default=min(self.retry_delays)))

    @property
    def unanswered_queue(self) -> str:
        """The queue of dead letters' copies that no worker has handled yet."""
        return f"{self.prefix}.commands.unanswered"

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Every queue with its arguments."""
        dead_letters = [
            Queue(
                name=name,
                exchange=self.exchange("dead-letter"),
                arguments={**_COMMON, "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT},
            )
            for name in (self.dead_queue, self.unanswered_queue)
        ]
        retries = [self._queue_of_retries(delay) for delay in sorted(set(self.retry_delays))]
        return (self._queue_of_commands(), *dead_letters, *retries)

    def _queue_of_commands(self) -> Queue:
        return Queue(
            name=self.command_queue,
            exchange=self.exchange("commands"),
            arguments={
                **_COMMON,
                "x-dead-letter-strategy": _STRATEGY,
                "x-dead-letter-exchange": self.exchange("dead-letter"),
                "x-delivery-limit": DELIVERY_LIMIT,
            },
        )

    def _queue_of_retries(self, delay: float) -> Queue:
        return Queue(
            name=self._retry_queue_name(delay),
            arguments={
                **_COMMON,
                "x-dead-letter-strategy": _STRATEGY,
                "x-message-ttl": round(delay * 1000),
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.command_queue,
            },
        )

    def _retry_queue_name(self, delay: float) -> str:
        return f"{self.prefix}.commands.retry.{delay:g}s"


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Create missing exchanges and queues.

    Raises TopologyDiffers for one with other properties. Raises BrokerUnavailable without the right
    to declare, because it may be granted later, and at a limit of queues, because it may be raised.
    """
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
        if "inequivalent" not in str(error):
            raise BrokerUnavailable(
                f"the broker refuses to create an exchange or queue: {error}"
            ) from error
        raise TopologyDiffers(
            f"an exchange or queue of this name exists with other properties: {error}. Remove it, "
            "or choose other names with WORKER_NAME_PREFIX"
        ) from error
    except AccessRefused as error:
        raise BrokerUnavailable(
            "no right to declare exchanges and queues: grant it, or set WORKER_TOPOLOGY=verify on "
            f"the worker if an administrator declares them: {error}"
        ) from error


async def find_missing(channel: AbstractChannel, topology: Topology) -> list[str]:
    """The names of the exchanges and queues that do not exist. Creates nothing.

    RabbitMQ closes the channel for each of them, and the channel is opened again.
    """
    missing = []
    for name, declare_passively in _passive_declarations(topology):
        try:
            await declare_passively(channel)
        except ChannelNotFoundEntity:
            missing.append(name)
            await channel.reopen()
    return missing


def _passive_declarations(topology: Topology) -> Iterator[tuple[str, PassiveDeclaration]]:
    """The name of each exchange and queue, and a call that fails if it does not exist."""
    for name in topology.exchanges:
        yield name, partial(_find_exchange, name)
    for queue in topology.queues:
        yield queue.name, partial(_find_queue, queue.name)


async def _find_exchange(name: str, channel: AbstractChannel) -> None:
    await channel.declare_exchange(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)


async def _find_queue(name: str, channel: AbstractChannel) -> None:
    await channel.declare_queue(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)


async def verify(channel: AbstractChannel, topology: Topology) -> None:
    """Check that everything exists, and create nothing. Raises TopologyDiffers for missing ones.

    AMQP shows neither the arguments of a queue nor its bindings. Only a declaration compares
    arguments.
    """
    try:
        for _, declare_passively in _passive_declarations(topology):
            await declare_passively(channel)
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(
            f"missing on the broker: {error}. Create it, or set WORKER_TOPOLOGY=declare"
        ) from error
