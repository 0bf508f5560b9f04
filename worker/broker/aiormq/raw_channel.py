"""The channel of aiormq below a channel of aio-pika, and the messages that it delivers.

aio-pika lacks three calls: an acknowledgement that does not wait for the socket, many messages in
one write, and a callback when the broker cancels a consumer. Its messages also raise errors for
properties that only other clients send, such as an unknown delivery mode.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ConnectionNotAllowed

RawChannel: TypeAlias = Channel
RawMessage: TypeAlias = DeliveredMessage

AccessRefused: TypeAlias = ChannelAccessRefused
NotAllowed: TypeAlias = ConnectionNotAllowed
"""The broker closed the connection, for example because it has too many channels."""

PERMISSION_ERRORS: Final = (ChannelAccessRefused, ChannelNotFoundEntity)
"""The broker closed a channel because a permission or an exchange is missing."""


async def raw_channel(channel: AbstractChannel) -> RawChannel:
    """The raw channel of an open channel. Raises ChannelInvalidStateError if it is not open."""
    raw = await channel.get_underlay_channel()
    assert isinstance(raw, RawChannel)  # noqa: S101 - the abstract class hides the write queue
    return raw


def on_consumer_cancelled(channel: RawChannel, callback: Callable[[], None]) -> None:
    """Call `callback` when the broker cancels a consumer, for example with its queue."""
    channel.on_consumer_cancel_callbacks.add(lambda _frame: callback())
