"""Counts the messages and consumers of our queues, and changes nothing."""

from collections.abc import Sequence

import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed

from worker.broker.admin.one_shot import error_summary
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.topology import RPC_TIMEOUT_SECONDS
from worker.domain.errors import BrokerUnavailable


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages of a queue wait to be delivered, and how many consumers it has.

    Both are None if the queue does not exist or may not be looked at.
    """

    name: str
    messages: int | None
    consumers: int | None


class QueueDepths:
    """Counts over one connection. It keeps its channel as long as the broker does."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None

    async def count(self, names: Sequence[str]) -> list[QueueDepth]:
        """The depth of each queue. Raises BrokerUnavailable."""
        try:
            return [await self._count(name) for name in names]
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(error_summary(error)) from error

    async def _count(self, name: str) -> QueueDepth:
        if self._channel is None or self._channel.is_closed:
            self._channel = await open_channel(self._connection)
        declaring = self._channel.declare_queue(name, passive=True, timeout=RPC_TIMEOUT_SECONDS)
        try:
            counts = (await broker_call(declaring)).declaration_result
        except ChannelClosed:  # it does not exist, or may not be looked at
            return QueueDepth(name=name, messages=None, consumers=None)
        return QueueDepth(name=name, messages=counts.message_count, consumers=counts.consumer_count)
