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

from worker.broker.admin.one_shot import error_summary
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Queue, Topology
from worker.domain.errors import BrokerUnavailable

State = Literal["ok", "missing", "differs", "no_permission"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one exchange or queue.

    `state` is "no_permission" when the object exists but the user may not compare its properties,
    or the broker gave no answer. In these cases, and for "differs", `detail` has the broker's
    words. `messages` (ready) and `consumers` are set for queues only.
    """

    name: str
    kind: Literal["exchange", "queue"]
    state: State
    detail: str | None = None
    messages: int | None = None
    consumers: int | None = None


async def check_topology(connection: AbstractConnection, topology: Topology) -> list[CheckResult]:
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
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


async def _exchange(connection: AbstractConnection, name: str, kind: ExchangeType) -> CheckResult:
    async def look(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)

    async def compare(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, kind, durable=True, timeout=RPC_TIMEOUT_SECONDS)

    state, detail = await _find(connection, look, compare)
    return CheckResult(name=name, kind="exchange", state=state, detail=detail)


async def _queue(connection: AbstractConnection, queue: Queue) -> CheckResult:
    seen: list[AbstractQueue] = []

    async def look(channel: AbstractChannel) -> None:
        seen.append(
            await channel.declare_queue(queue.name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
        )

    async def compare(channel: AbstractChannel) -> None:
        await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.arguments), timeout=RPC_TIMEOUT_SECONDS
        )

    state, detail = await _find(connection, look, compare)
    counted = seen[0].declaration_result if seen else None
    return CheckResult(
        name=queue.name,
        kind="queue",
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
        return "differs", error_summary(error)
    except ChannelClosed as error:
        return "no_permission", error_summary(error)
    return "ok", None


async def _ask(
    connection: AbstractConnection, question: Callable[[AbstractChannel], Awaitable[None]]
) -> None:
    channel = await open_channel(connection)
    await broker_call(question(channel))
    await broker_call(channel.close())
