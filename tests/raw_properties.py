"""Message properties as raw bytes, which no well-behaved client library would send."""

import struct

import aio_pika
from pamqp.commands import Basic


class RawProperties(Basic.Properties):
    """Encoded properties: the flags, then the values."""

    def __init__(self, wire: bytes) -> None:
        super().__init__(message_id="set, because the library fills in a missing one")
        self.wire = wire

    def marshal(self) -> bytes:
        return self.wire


def short(text: bytes) -> bytes:
    """A short string, as AMQP has it."""
    return bytes((len(text),)) + text


def long(text: bytes) -> bytes:
    """A long string, an array or a table, as AMQP has it."""
    return struct.pack(">I", len(text)) + text


async def publish_raw(url: str, exchange: str, key: str, body: bytes, wire: bytes) -> None:
    """Publish a message with these encoded properties. It must reach a queue."""
    async with await aio_pika.connect(url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_publish(
            body,
            exchange=exchange,
            routing_key=key,
            properties=RawProperties(wire),
            mandatory=True,
        )
