"""Sends many messages in one write to the socket, each with its own confirmation.

The library's own publish takes a lock, two timers and a task for every message, which costs more
than the message itself. Here the same steps are done once for all messages.
"""

import asyncio
import uuid
from collections.abc import Sequence

import msgspec
from aiormq.abc import ChannelFrame

from worker.broker.aiormq.message_encoder import ENCODING_ERRORS, encoded_message
from worker.broker.aiormq.raw_channel import RawChannel
from worker.broker.messages import Outgoing

Confirmation = asyncio.Future[object]


async def send_batch(channel: RawChannel, messages: Sequence[Outgoing]) -> list[Confirmation]:
    """Pass all messages to the connection's writer at once; return a confirmation for each.

    Every message has a `message_id`. A message that does not fit AMQP's frames is not sent, and its
    confirmation has failed already. If the channel is closed, nothing is sent and the library's
    error is raised.
    """
    frames = [_encoded_or_error(channel, message) for message in messages]
    async with channel.lock:
        last_tag = channel.delivery_tag
        confirmations = [
            _expect_confirmation(channel, message) if isinstance(frame, bytes) else _failed(frame)
            for message, frame in zip(messages, frames, strict=True)
        ]
        payload = b"".join(frame for frame in frames if isinstance(frame, bytes))
        try:
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
        except BaseException:
            _forget_confirmations(channel, last_tag)
            raise
    return confirmations


def with_message_id(message: Outgoing) -> Outgoing:
    """The message with an id, because the library recognises a returned message by its id alone."""
    if message.message_id:
        return message
    return msgspec.structs.replace(message, message_id=uuid.uuid4().hex)


def _encoded_or_error(channel: RawChannel, message: Outgoing) -> bytes | Exception:
    try:
        return encoded_message(message, channel.number, channel.max_content_size)
    except ENCODING_ERRORS as error:
        return error


def _failed(error: Exception) -> Confirmation:
    failed: Confirmation = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    return failed


def _expect_confirmation(channel: RawChannel, message: Outgoing) -> Confirmation:
    channel.delivery_tag += 1
    tag = channel.delivery_tag
    confirmation: Confirmation = channel.create_future()
    channel.confirmations[tag] = confirmation
    if message.mandatory and message.message_id is not None:
        tags, message_id = channel.message_id_delivery_tag, message.message_id
        tags[message_id] = tag
        confirmation.add_done_callback(lambda _: tags.pop(message_id, None))
    return confirmation


def _forget_confirmations(channel: RawChannel, last_tag: int) -> None:
    """Set the channel's count back, because no message after `last_tag` was sent."""
    for tag in range(last_tag + 1, channel.delivery_tag + 1):
        channel.confirmations.pop(tag).cancel()
    channel.delivery_tag = last_tag
