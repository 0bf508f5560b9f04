"""Counts the messages and consumers of the topology's queues. Every user of the host may do it."""

import msgspec
from aio_pika.exceptions import ChannelNotFoundEntity

from worker.broker.admin.one_shot import Connection, error_summary
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology
from worker.domain.errors import BrokerUnavailable


class QueueCount(msgspec.Struct, frozen=True, kw_only=True):
    """The ready messages and the consumers of a queue; None if the queue does not exist."""

    name: str
    messages: int | None
    consumers: int | None


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The queue of commands, the retry queues, and the two of dead letters.

    Messages that a worker is executing are not counted.
    """

    commands: QueueCount
    dead: QueueCount
    unanswered: QueueCount
    retries: tuple[QueueCount, ...]


async def count_queues(connection: Connection, topology: Topology) -> QueueCounts:
    """Count the waiting messages of each queue. Raises BrokerUnavailable."""
    try:
        counts = {queue.name: await _count(connection, queue.name) for queue in topology.queues}
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error
    return QueueCounts(
        commands=counts.pop(topology.command_queue),
        dead=counts.pop(topology.dead_queue),
        unanswered=counts.pop(topology.unanswered_queue),
        retries=tuple(counts.values()),
    )


async def _count(connection: Connection, name: str) -> QueueCount:
    # On a separate channel, because the broker closes the channel if a queue is missing.
    channel = await open_channel(connection)
    declaring = channel.declare_queue(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
    try:
        found = (await broker_call(declaring)).declaration_result
    except ChannelNotFoundEntity:
        return QueueCount(name=name, messages=None, consumers=None)
    await broker_call(channel.close())
    return QueueCount(name=name, messages=found.message_count, consumers=found.consumer_count)
