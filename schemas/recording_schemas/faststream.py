"""Decodes the worker's events for subscribers that use FastStream.

FastStream itself decodes `application/json` only. With its own decoder a subscriber receives an
event as bytes, its handler fails, and the message is rejected. This module does not import
FastStream:

    @broker.subscriber(queue, exchange, decoder=event_decoder)
    async def on_file(event: CloudEvent) -> None: ...
"""

from typing import Protocol

from recording_schemas.envelope import CloudEvent, decode_event


class ReceivedMessage(Protocol):
    """What the decoder reads of FastStream's `RabbitMessage`."""

    body: bytes
    content_type: str | None


async def event_decoder(message: ReceivedMessage) -> CloudEvent:
    """The event in the message. Use it for a broker, a subscriber, or the reply to a request.

    Raises NotAnEvent if the message is no event of a known type. FastStream then settles the
    message by the subscriber's `ack_policy`. By default that rejects it, and the queue's
    dead-letter exchange keeps it, if there is one.
    """
    return decode_event(message.body, message.content_type)
