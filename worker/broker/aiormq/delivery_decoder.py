"""Assembles deliveries from their frames, in place of the library.

For each delivery the library decodes three frames one by one, passes them through two queues and
two tasks, and drops deliveries for a consumer that was cancelled a moment ago.
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
"""Called with the delivery tag, by which the delivery is settled, and the delivery."""

METHOD, HEADER, BODY = 1, 2, 3
"""The types of frame, by their numbers in AMQP."""

DELIVER: Final = struct.pack(">HH", 60, 60)
"""The first bytes of the frame that announces a delivery: its class and its method."""

UNREADABLE: Final = "x-unreadable-properties"
"""The header that replaces properties that cannot be decoded."""

MAX_TIMESTAMP_MS: Final = 253_402_300_800_000
"""The end of the year 9999. Python has no later dates."""

_TAG: Final = struct.Struct(">QB")
_BODY_SIZE: Final = struct.Struct(">Q")


class DeliveryAssembler:
    """Assembles the deliveries of one channel. `on_delivery` must neither wait nor raise."""

    def __init__(self, on_delivery: OnDelivery) -> None:
        self._on_delivery = on_delivery
        self._announced: tuple[int, bool, str] | None = None
        self._properties = Basic.Properties()
        self._missing_bytes = 0
        self._parts: list[bytes] = []

    def accept(self, kind: int, payload: bytes) -> bool:
        """Take a frame that is part of a delivery. False for a frame that the library must read."""
        if kind == METHOD and payload.startswith(DELIVER):
            self._announced = _announced(payload)
        elif self._announced is None or kind not in {HEADER, BODY}:
            return False
        elif kind == HEADER:
            self._properties = decoded_properties(payload)
            self._missing_bytes, self._parts = body_size(payload), []
            self._deliver_if_complete(self._announced)
        else:
            self._parts.append(payload)
            self._missing_bytes -= len(payload)
            self._deliver_if_complete(self._announced)
        return True

    def _deliver_if_complete(self, announced: tuple[int, bool, str]) -> None:
        if self._missing_bytes > 0:
            return
        tag, redelivered, key = announced
        self._announced = None
        delivery = _delivery(b"".join(self._parts), key, redelivered, self._properties)
        self._on_delivery(tag, delivery)


def decoded_properties(header: bytes) -> Basic.Properties:
    """The properties in a content header, or the header `UNREADABLE` if they cannot be decoded.

    The broker forwards any bytes that a publisher put into a correlation id or a header.
    """
    content = ContentHeader()
    try:
        content.unmarshal(header)
    except Exception:  # noqa: BLE001 - a decoder may raise anything for unknown bytes
        return Basic.Properties(headers={UNREADABLE: True})
    return content.properties


def body_size(header: bytes) -> int:
    """How many bytes of body follow a content header."""
    return int(_BODY_SIZE.unpack_from(header, 4)[0])


def routing_key_offset(deliver: bytes) -> int:
    """The offset of the routing key's length in the announcement of a delivery."""
    offset = len(DELIVER)
    offset += 1 + deliver[offset]  # consumer tag
    offset += _TAG.size
    return offset + 1 + deliver[offset]  # exchange


def _announced(deliver: bytes) -> tuple[int, bool, str]:
    """The delivery tag, the redelivered flag, and the UTF-8 part of the routing key."""
    offset = len(DELIVER)
    tag, redelivered = _TAG.unpack_from(deliver, offset + 1 + deliver[offset])
    key = deliver[routing_key_offset(deliver) + 1 :]
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
    """The broker's own time in milliseconds (`timestamp_in_ms`) if set, else the publisher's."""
    milliseconds = headers.get("timestamp_in_ms")
    if isinstance(milliseconds, int) and 0 < milliseconds < MAX_TIMESTAMP_MS:
        return milliseconds / 1000
    return None if timestamp is None else timestamp.timestamp()
