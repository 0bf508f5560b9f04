"""Comparing the topology with what a broker has, changing nothing there."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue, ExchangeType
from aio_pika.exceptions import (
    ChannelClosed,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from worker.broker.admin.one_shot import why
from worker.broker.connection import BROKER_TROUBLE, from_broker, open_channel
from worker.broker.topology import DEADLINE, Queue, Topology
from worker.domain.errors import BrokerUnavailable

State = Literal["fine", "missing", "differs", "unseen"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange or queue as it was found.

    `state` is "unseen" when it exists but the user may not compare its properties, or the broker
    did not tell; `detail` has the broker's words then, and when it differs. `messages` (ready) and
    `consumers` are those of a queue.
    """

    name: str
    what: Literal["exchange", "queue"]
    state: State
    detail: str | None = None
    messages: int | None = None
    consumers: int | None = None


async def check_topology(connection: AbstractConnection, topology: Topology) -> list[Finding]:
    """Look at each exchange and queue of the topology.

    AMQP shows neither bindings nor policies, nor what there is besides. Kinds and arguments are
    compared by declaring what exists already a second time, which changes nothing; something that
    is removed by others between the two looks would be created. Raises BrokerUnavailable.
    """
    try:
        return [
            *[await _exchange(connection, *one) for one in topology.exchanges.items()],
            *[await _queue(connection, queue) for queue in topology.queues],
        ]
    except BROKER_TROUBLE as error:
        raise BrokerUnavailable(why(error)) from error


async def _exchange(connection: AbstractConnection, name: str, kind: ExchangeType) -> Finding:
    async def look(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, passive=True, timeout=DEADLINE)

    async def compare(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, kind, durable=True, timeout=DEADLINE)

    state, detail = await _find(connection, look, compare)
    return Finding(name=name, what="exchange", state=state, detail=detail)


async def _queue(connection: AbstractConnection, queue: Queue) -> Finding:
    seen: list[AbstractQueue] = []

    async def look(channel: AbstractChannel) -> None:
        seen.append(await channel.declare_queue(queue.name, passive=True, timeout=DEADLINE))

    async def compare(channel: AbstractChannel) -> None:
        await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.arguments), timeout=DEADLINE
        )

    state, detail = await _find(connection, look, compare)
    counted = seen[0].declaration_result if seen else None
    return Finding(
        name=queue.name,
        what="queue",
        state=state,
        detail=detail,
        messages=counted.message_count if counted else None,
        consumers=counted.consumer_count if counted else None,
    )


async def _find(
    connection: AbstractConnection,
    look: Callable[[AbstractChannel], Awaitable[None]],
    compare: Callable[[AbstractChannel], Awaitable[None]],
) -> tuple[State, str | None]:
    """The broker closes a channel with each refusal, so that each question has its own."""
    try:
        await _ask(connection, look)
        await _ask(connection, compare)
    except ChannelNotFoundEntity:
        return "missing", None
    except ChannelPreconditionFailed as error:
        return "differs", why(error)
    except ChannelClosed as error:
        return "unseen", why(error)
    return "fine", None


async def _ask(
    connection: AbstractConnection, question: Callable[[AbstractChannel], Awaitable[None]]
) -> None:
    channel = await open_channel(connection)
    await from_broker(question(channel))
    await from_broker(channel.close())
