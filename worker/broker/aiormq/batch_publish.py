"""Many messages in one write to the socket, each with its own confirmation.

The library's own publish takes a lock, two deadlines and a task for every message, which costs
more than the message itself, and looks up by its name how each property is encoded. Here is what
it does inside, done once for all of them.
"""

import asyncio
import struct
import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import pamqp.frame
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.commands import Basic
from pamqp.encode import field_table

from worker.broker.messages import Outgoing

PERSISTENT: Final = b"\x02"
MAX_SHORT_STRING_BYTES: Final = 255
BASIC: Final = 60
"""The class of AMQP that messages belong to."""
ENCODING_ERRORS: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What encoding raises for a message that does not fit AMQP's frames."""

_HEAD: Final = struct.Struct(">BHI")
_HEADER: Final = struct.Struct(">BHIHHQ")
_FIXED: Final = _HEADER.size - _HEAD.size
_FLAGS: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">B")
_TIMESTAMP: Final = struct.Struct(">Q")
_END: Final = b"\xce"

Confirmation = asyncio.Future[object]


async def send_batch(channel: Channel, messages: Sequence[Outgoing]) -> list[Confirmation]:
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


def with_message_id(message: Outgoing) -> Outgoing:
    """The message with an id: the library tells one that comes back by nothing else."""
    if message.message_id:
        return message
    return msgspec.structs.replace(message, message_id=uuid.uuid4().hex)


def _encoded(channel: Channel, message: Outgoing) -> bytes | Exception:
    number = channel.number
    try:
        begin = _publish(message.exchange, message.routing_key, message.mandatory, number)
        return b"".join((begin, *_content(message, number, channel.max_content_size)))
    except ENCODING_ERRORS as error:
        return error


@lru_cache(maxsize=256)
def _publish(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:
    """The first frame, of which there are few different ones."""
    if len(routing_key.encode()) > MAX_SHORT_STRING_BYTES:
        raise ValueError("the routing key is longer than 255 bytes")
    method = Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(method, channel)


def _content(message: Outgoing, channel: int, most: int) -> Iterator[bytes]:
    """The frames of the header and of the body, in parts of at most `most` bytes."""
    body = message.body
    properties = encoded_properties(message)
    yield _HEADER.pack(2, channel, _FIXED + len(properties), BASIC, 0, len(body))
    yield properties
    yield _END
    for at in range(0, len(body), most):
        part = body[at : at + most]
        yield _HEAD.pack(3, channel, len(part))
        yield part
        yield _END


def encoded_properties(message: Outgoing) -> bytes:
    """The properties as AMQP has them: flags, then the values in the order of their flags.

    Raises one of `ENCODING_ERRORS`.
    """
    flags, values = 0x1000, []
    if message.content_type:
        flags |= 0x8000
        values.append(_short(message.content_type))
    if message.headers:
        flags |= 0x2000
        values.append(field_table(message.headers))  # type: ignore[arg-type]  # it looks itself
    values.append(PERSISTENT)
    if message.correlation_id:
        flags |= 0x0400
        # AMQP has 255 bytes for it, a command's id may be longer.
        fitting = message.correlation_id.encode()[:MAX_SHORT_STRING_BYTES].decode(errors="ignore")
        values.append(_short(fitting))
    for flag, text in ((0x0200, message.reply_to), (0x0080, message.message_id)):
        if text:
            flags |= flag
            values.append(_short(text))
    if message.timestamp is not None:
        flags |= 0x0040
        values.append(_TIMESTAMP.pack(int(message.timestamp)))
    if message.type:
        flags |= 0x0020
        values.append(_short(message.type))
    return b"".join((_FLAGS.pack(flags), *values))


def _short(text: str) -> bytes:
    return _LENGTH.pack(len(encoded := text.encode())) + encoded


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
