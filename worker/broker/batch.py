"""Many messages in one write to the socket, each with its own confirmation.

The library's own publish takes a lock, two deadlines and a task for every message, which costs
more than the message itself. Here is what it does inside, done once for all of them.
"""

import asyncio
import struct
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
import pamqp.frame
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.messages import Outgoing

PERSISTENT: Final = 2
SHORT_STRING: Final = 255
UNFIT: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What encoding raises for a message that does not fit AMQP's frames."""

Confirmation = asyncio.Future[object]


async def send(channel: Channel, messages: Sequence[Outgoing]) -> list[Confirmation]:
    """Hand all to the connection's writer at once; returns a confirmation to come for each.

    One that does not fit AMQP's frames is not sent, and its confirmation has failed already. Raises
    what the library raises when the channel is closed; then nothing was sent.
    """
    frames = [_encoded(channel, message) for message in messages]
    async with channel.lock:
        before = channel.delivery_tag
        confirmations = [
            _expect(channel, message) if isinstance(frame, bytes) else _failed(frame)
            for message, frame in zip(messages, frames, strict=True)
        ]
        payload = b"".join(frame for frame in frames if isinstance(frame, bytes))
        try:
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
        except BaseException:
            # The broker has seen none of it, and goes on counting from where it was.
            for tag in range(before + 1, channel.delivery_tag + 1):
                channel.confirmations.pop(tag).cancel()
            channel.delivery_tag = before
            raise
    return confirmations


def with_id(message: Outgoing) -> Outgoing:
    """The message with an id: the library tells one that comes back by nothing else."""
    if message.message_id:
        return message
    return msgspec.structs.replace(message, message_id=uuid.uuid4().hex)


def _encoded(channel: Channel, message: Outgoing) -> bytes | Exception:
    number = channel.number
    try:
        begin = _publish(message.exchange, message.routing_key, message.mandatory, number)
        rest = (pamqp.frame.marshal(one, number) for one in _content(channel, message))
        return b"".join((begin, *rest))
    except UNFIT as error:
        return error


@lru_cache(maxsize=256)
def _publish(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:
    """The first frame, of which there are few different ones."""
    if len(routing_key.encode()) > SHORT_STRING:
        raise ValueError("the routing key is longer than 255 bytes")
    method = Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(method, channel)


def _content(channel: Channel, message: Outgoing) -> Iterator[ContentHeader | ContentBody]:
    yield ContentHeader(body_size=len(message.body), properties=_properties(message))
    most = channel.max_content_size
    for at in range(0, len(message.body), most):
        yield ContentBody(message.body[at : at + most])


def _failed(error: Exception) -> Confirmation:
    failed: Confirmation = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    return failed


def _expect(channel: Channel, message: Outgoing) -> Confirmation:
    channel.delivery_tag += 1
    tag = channel.delivery_tag
    confirmation: Confirmation = channel.create_future()
    channel.confirmations[tag] = confirmation
    if message.mandatory and message.message_id is not None:
        tags, message_id = channel.message_id_delivery_tag, message.message_id
        tags[message_id] = tag
        confirmation.add_done_callback(lambda _: tags.pop(message_id, None))
    return confirmation


def _properties(message: Outgoing) -> Basic.Properties:
    return Basic.Properties(
        content_type=message.content_type,
        headers=dict(message.headers) or None,  # type: ignore[arg-type]  # checked by the broker
        delivery_mode=PERSISTENT,
        correlation_id=_short(message.correlation_id),
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=None
        if message.timestamp is None
        else datetime.fromtimestamp(message.timestamp, UTC),
        message_type=message.type,
    )


def _short(text: str | None) -> str | None:
    """At most 255 bytes, AMQP's bound of a short string: a command's id may be longer."""
    return None if text is None else text.encode()[:SHORT_STRING].decode(errors="ignore")
