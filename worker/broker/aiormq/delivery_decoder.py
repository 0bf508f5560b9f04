"""Putting deliveries together from their frames, past the library.

For each delivery the library decodes three frames one by one, hands them through two queues and
two tasks, and drops what comes for a consumer that was cancelled a moment ago. Most of what a
command costs at the broker's side was this.
"""

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.headers import original_routing_key
from worker.broker.messages import Delivery, Headers

OnDelivery = Callable[[int, Delivery], None]
"""What is given each delivery, and the tag to settle it by."""

METHOD, HEADER, BODY = 1, 2, 3
"""The types of frame, as they are numbered in AMQP."""

DELIVER: Final = struct.pack(">HH", 60, 60)
"""What the frame that announces a delivery begins with: its class and its method."""

UNREADABLE: Final = "x-unreadable-properties"
"""The header that stands in for properties that nobody could read."""

MAX_TIMESTAMP_MS: Final = 253_402_300_800_000
"""The end of the year 9999, beyond which there are no dates."""

_TAG: Final = struct.Struct(">QB")
_BODY_SIZE: Final = struct.Struct(">Q")


class DeliveryAssembler:
    """Puts together what is delivered on one channel. `take` must neither wait nor raise."""

    def __init__(self, take: OnDelivery) -> None:
        self._take = take
        self._announced: tuple[int, bool, str] | None = None
        self._properties = Basic.Properties()
        self._missing = 0
        self._parts: list[bytes] = []

    def took(self, kind: int, payload: bytes) -> bool:
        """Whether the frame is part of a delivery. Only the others are the library's."""
        if kind == METHOD and payload.startswith(DELIVER):
            self._announced = _announced(payload)
        elif self._announced is None or kind not in {HEADER, BODY}:
            return False
        elif kind == HEADER:
            self._properties = properties_of(payload)
            self._missing, self._parts = body_size_of(payload), []
            self._deliver_when_whole(self._announced)
        else:
            self._parts.append(payload)
            self._missing -= len(payload)
            self._deliver_when_whole(self._announced)
        return True

    def _deliver_when_whole(self, announced: tuple[int, bool, str]) -> None:
        if self._missing > 0:
            return
        tag, redelivered, key = announced
        self._announced = None
        self._take(tag, _delivery(b"".join(self._parts), key, redelivered, self._properties))


def properties_of(header: bytes) -> Basic.Properties:
    """The properties in a content header; a mark instead of those that cannot be decoded.

    The broker hands on whatever bytes a publisher put into a correlation id or a header.
    """
    content = ContentHeader()
    try:
        content.unmarshal(header)
    except Exception:  # noqa: BLE001 - whatever a decoder trips over in a stranger's bytes
        return Basic.Properties(headers={UNREADABLE: True})
    return content.properties


def body_size_of(header: bytes) -> int:
    """How many bytes of body follow a content header."""
    return int(_BODY_SIZE.unpack_from(header, 4)[0])


def routing_key_at(deliver: bytes) -> int:
    """Where in the announcement of a delivery the length of its routing key stands."""
    at = len(DELIVER)
    at += 1 + deliver[at]  # consumer tag
    at += _TAG.size
    return at + 1 + deliver[at]  # exchange


def _announced(deliver: bytes) -> tuple[int, bool, str]:
    """The delivery tag, whether it was delivered before, the routing key as far as it is UTF-8."""
    at = len(DELIVER)
    tag, redelivered = _TAG.unpack_from(deliver, at + 1 + deliver[at])
    key = deliver[routing_key_at(deliver) + 1 :]
    return tag, bool(redelivered), key.decode(errors="ignore")


def _delivery(body: bytes, key: str, redelivered: bool, properties: Basic.Properties) -> Delivery:
    headers: Headers = dict(properties.headers or {})
    return Delivery(
        body=body,
        routing_key=original_routing_key(headers, key),
        redelivered=redelivered,
        content_type=properties.content_type,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        sent_at=_sent_at(properties.timestamp, headers),
        headers=headers,
    )


def _sent_at(timestamp: datetime | None, headers: Headers) -> float | None:
    """To the millisecond where the broker notes it so (`timestamp_in_ms`), else as published."""
    noted = headers.get("timestamp_in_ms")
    if isinstance(noted, int) and 0 < noted < MAX_TIMESTAMP_MS:
        return noted / 1000
    return None if timestamp is None else timestamp.timestamp()
