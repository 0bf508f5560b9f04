"""A copy of a message as text, for the store, and back into a message for the command queue. Pure.

The properties stay as they are, byte for byte.
"""

from typing import Final

import msgspec

from worker.broker.message_copy import (
    DEFAULT_FRAME_BYTES,
    MessageCopy,
    copy_of,
    in_frame,
    rfc3339,
)
from worker.broker.messages import FIRST_SEEN_HEADER, UNPARKED_HEADER, Delivery, Headers, Outgoing
from worker.broker.properties import identifier


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    properties: dict[int, bytes]
    headers: dict[str, str | int | bool]


_DECODER: Final = msgspec.json.Decoder(_Envelope)


def envelope_of(delivery: Delivery, *, code: str, reason: str, now: float) -> str:
    """The properties and headers of a copy of this delivery as JSON, without the body.

    `code` and `reason` say why it is kept. `now` is in seconds since the epoch.
    """
    copy = copy_of(delivery, code=code, reason=reason, now=now)
    envelope = MessageCopy(dict(copy.properties), copy.headers)._asdict()
    return msgspec.json.encode(envelope).decode()


def unparked_message(
    body: bytes,
    envelope: str,
    *,
    command_queue: str,
    position: int,
    now: float,
    max_frame_bytes: int = DEFAULT_FRAME_BYTES,
) -> Outgoing:
    """The kept message for the command queue.

    The age of its command counts from `now`, because the time in the store does not count.
    A publisher's header that does not fit into a frame is dropped. Raises msgspec.DecodeError for
    text of another form.
    """
    kept = _DECODER.decode(envelope)
    headers: Headers = {
        **kept.headers,
        UNPARKED_HEADER: position,
        FIRST_SEEN_HEADER: rfc3339(now),
    }
    copy = in_frame(MessageCopy(kept.properties, headers), max_frame_bytes)
    return Outgoing(
        exchange="",
        routing_key=command_queue,
        body=body,
        message_id=identifier(copy.properties),
        original=copy.properties,
        headers=copy.headers,
        mandatory=True,
    )
