"""Assembles deliveries from their frames, instead of the library.

For each delivery the library decodes three frames one by one, and passes them through two queues
and two tasks. It also drops deliveries for a consumer that has just been cancelled.
"""

import struct
from collections.abc import Callable
from typing import Final

from pamqp.decode import embedded_value

from worker.broker.messages import Delivery, Headers
from worker.broker.properties import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CORRELATION_ID,
    HEADERS,
    MAX_TIMESTAMP_SECONDS,
    MESSAGE_ID,
    REPLY_TO,
    PropertyList,
    split_properties,
    split_table,
    text_property,
    timestamp_property,
)

OnDelivery = Callable[[int, Delivery], None]
"""Called with the delivery tag, by which the delivery is settled, and the delivery."""

METHOD, HEADER, BODY = 1, 2, 3
"""The types of frame, by their numbers in AMQP."""

DELIVER: Final = struct.pack(">HH", 60, 60)
"""The first bytes of the frame that announces a delivery: its class and its method."""

MAX_NESTED_BYTES: Final = 8 * 1024
"""A larger array or table is not decoded, because the library's time grows with its square."""

_TAG: Final = struct.Struct(">QB")
_BODY_SIZE: Final = struct.Struct(">Q")
_PROPERTIES_AT: Final = 12
"""The offset of the properties in a content header."""

_NESTED_TYPES: Final = (b"A", b"F")


class DeliveryAssembler:
    """Assembles the deliveries of one channel. `on_delivery` must neither wait nor raise.

    If `may_hold` refuses the size of a body, its bytes are discarded as they arrive. A prefetch
    counts messages, not bytes: a hundred of the largest possible ones would not fit into memory.
    """

    def __init__(
        self, on_delivery: OnDelivery, may_hold: Callable[[int], bool] = lambda _size: True
    ) -> None:
        self._on_delivery = on_delivery
        self._may_hold = may_hold
        self._unread_bytes = 0
        self._announced: tuple[int, bool, str, str] | None = None
        self._properties: PropertyList = {}
        self._missing_bytes = 0
        self._parts: list[bytes] = []

    def accept(self, kind: int, payload: bytes) -> bool:
        """Take a frame that is part of a delivery. False for a frame that the library must read."""
        if kind == METHOD and payload.startswith(DELIVER):
            self._announced = _announced(payload)
        elif self._announced is None or kind not in {HEADER, BODY}:
            return False
        elif kind == HEADER:
            self._properties = properties_of(payload)
            size = body_size(payload)
            self._missing_bytes, self._parts = size, []
            self._unread_bytes = 0 if self._may_hold(size) else size
            self._deliver_if_complete(self._announced)
        else:
            if not self._unread_bytes:
                self._parts.append(payload)
            self._missing_bytes -= len(payload)
            self._deliver_if_complete(self._announced)
        return True

    def _deliver_if_complete(self, announced: tuple[int, bool, str, str]) -> None:
        if self._missing_bytes > 0:
            return
        tag, redelivered, exchange, key = announced
        self._announced = None
        properties = self._properties
        headers = decoded_headers(properties)
        delivery = Delivery(
            body=b"".join(self._parts),
            unread_bytes=self._unread_bytes,
            routing_key=key,
            exchange=exchange,
            redelivered=redelivered,
            content_type=text_property(properties, CONTENT_TYPE),
            content_encoding=text_property(properties, CONTENT_ENCODING),
            message_id=text_property(properties, MESSAGE_ID),
            correlation_id=text_property(properties, CORRELATION_ID),
            reply_to=text_property(properties, REPLY_TO),
            sent_at=_sent_at(properties, headers),
            headers=headers,
            properties=properties,
        )
        self._on_delivery(tag, delivery)


def properties_of(header: bytes) -> dict[int, bytes]:
    """The encoded properties in a content header."""
    return split_properties(header, _PROPERTIES_AT)


def decoded_headers(properties: PropertyList) -> Headers:
    """The headers. One that cannot be decoded has its bytes as its value.

    The broker forwards any bytes that a publisher put into a header.
    """
    if (table := properties.get(HEADERS)) is None:
        return {}
    entries, _ = split_table(table)
    return {name.decode(errors="replace"): _decoded(value) for name, value in entries}


def _decoded(value: bytes) -> object:
    if value.startswith(_NESTED_TYPES) and len(value) > MAX_NESTED_BYTES:
        return value
    try:
        return embedded_value(value)[1]
    except Exception:  # noqa: BLE001 - each type raises its own error for what it cannot hold
        return value


def body_size(header: bytes) -> int:
    """How many bytes of body follow a content header."""
    return int(_BODY_SIZE.unpack_from(header, 4)[0])


def routing_key_offset(deliver: bytes) -> int:
    """The offset of the routing key's length in the announcement of a delivery."""
    offset = len(DELIVER)
    offset += 1 + deliver[offset]  # consumer tag
    offset += _TAG.size
    return offset + 1 + deliver[offset]  # exchange


def _announced(deliver: bytes) -> tuple[int, bool, str, str]:
    """Delivery tag, redelivered flag, exchange, and the UTF-8 part of the routing key."""
    offset = len(DELIVER)
    offset += 1 + deliver[offset]  # consumer tag
    tag, redelivered = _TAG.unpack_from(deliver, offset)
    offset += _TAG.size
    key_at = offset + 1 + deliver[offset]
    exchange = deliver[offset + 1 : key_at].decode(errors="replace")  # never the default one's ""
    return tag, bool(redelivered), exchange, deliver[key_at + 1 :].decode(errors="ignore")


def _sent_at(properties: PropertyList, headers: Headers) -> float | None:
    """The broker's own time in milliseconds (`timestamp_in_ms`) if set, else the publisher's."""
    milliseconds = headers.get("timestamp_in_ms")
    if isinstance(milliseconds, int) and 0 < milliseconds < MAX_TIMESTAMP_SECONDS * 1000:
        return milliseconds / 1000
    return timestamp_property(properties)
