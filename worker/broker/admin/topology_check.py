"""Compares the topology with the exchanges and queues of a broker, and changes nothing."""

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

TopologyState = Literal["ok", "missing", "differs", "no_permission"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one exchange or queue.

    `state` is "no_permission" when the object exists but the user may not compare its properties,
    or the broker gave no answer. In these cases, and for "differs", `detail` has the broker's
    words. `messages` (ready) and `consumers` are set for queues only.
    """

    name: str
    kind: Literal["exchange", "queue"]
    state: TopologyState
    detail: str | None
    messages: int | None = None
    consumers: int | None = None


async def check_topology(connection: AbstractConnection, topology: Topology) -> list[CheckResult]:
    """Check each exchange and queue of the topology. Raises BrokerUnavailable.

    AMQP shows neither bindings nor policies, nor other exchanges and queues. Kinds and arguments
    are compared by declaring an existing object again, which changes nothing. If an object is
    removed between the two calls, the second call creates it.
    """
    try:
        return [
            *[await _check_exchange(connection, *item) for item in topology.exchanges.items()],
            *[await _check_queue(connection, queue) for queue in topology.queues],
        ]
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


async def _check_exchange(
    connection: AbstractConnection, name: str, kind: ExchangeType
) -> CheckResult:
    async def declare_passively(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)

    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, kind, durable=True, timeout=RPC_TIMEOUT_SECONDS)

    state, detail = await _compare(connection, declare_passively, declare)
    return CheckResult(name=name, kind="exchange", state=state, detail=detail)


async def _check_queue(connection: AbstractConnection, queue: Queue) -> CheckResult:
    found: list[AbstractQueue] = []

    async def declare_passively(channel: AbstractChannel) -> None:
        found.append(
            await channel.declare_queue(queue.name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
        )

    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.arguments), timeout=RPC_TIMEOUT_SECONDS
        )

    state, detail = await _compare(connection, declare_passively, declare)
    counts = found[0].declaration_result if found else None
    return CheckResult(
        name=queue.name,
        kind="queue",
        state=state,
        detail=detail,
        messages=counts.message_count if counts else None,
        consumers=counts.consumer_count if counts else None,
    )


async def _compare(
    connection: AbstractConnection,
    declare_passively: Callable[[AbstractChannel], Awaitable[None]],
    declare: Callable[[AbstractChannel], Awaitable[None]],
) -> tuple[TopologyState, str | None]:
    """Each call has a separate channel, because the broker closes a channel with a refusal."""
    try:
        await _on_new_channel(connection, declare_passively)
        await _on_new_channel(connection, declare)
    except ChannelNotFoundEntity:
        return "missing", None
    except ChannelPreconditionFailed as error:
        return "differs", error_summary(error)
    except ChannelClosed as error:
        return "no_permission", error_summary(error)
    return "ok", None


async def _on_new_channel(
    connection: AbstractConnection, call: Callable[[AbstractChannel], Awaitable[None]]
) -> None:
    channel = await open_channel(connection)
    await broker_call(call(channel))
    await broker_call(channel.close())
