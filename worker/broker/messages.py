"""The messages in and out, and the ways in which a delivery is settled."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Self

import msgspec

Headers = dict[str, object]
REDELIVERY_COUNT_HEADER: Final = "x-returned"
"""On a copy: how often earlier deliveries came back to the queue without an attempt."""
MAX_COUNT: Final = 2**31
TRACE_HEADERS: Final = ("traceparent", "tracestate", "baggage")
MAX_TRACE_HEADER_LENGTH: Final = 8192


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the broker delivered it, with an undecoded body.

    `sent_at` is the time of sending, in seconds since the epoch, by the clock of the publisher, or
    of the broker if it sets timestamps. It is mostly in whole seconds.
    """

    body: bytes
    routing_key: str
    redelivered: bool = False
    content_type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    sent_at: float | None = None
    headers: Headers = {}

    @property
    def first_seen(self) -> float | None:
        """When a worker first took it, in seconds since the epoch. None before the first retry."""
        text = self.headers.get("x-first-seen")
        try:
            return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
        except (ValueError, OverflowError):
            return None

    @property
    def redelivery_count(self) -> int:
        """How often it came back to the queue unsettled, because its consumer was lost.

        Includes the counts of earlier copies that were retried without an attempt.
        """
        count = self.headers.get("x-delivery-count")
        own_count = count if isinstance(count, int) else int(self.redelivered)
        earlier_count = self.headers.get(REDELIVERY_COUNT_HEADER)
        if isinstance(earlier_count, int) and 0 <= earlier_count < MAX_COUNT:
            return own_count + earlier_count
        return own_count

    @property
    def trace(self) -> dict[str, str]:
        """The W3C trace context that travels with the message."""
        if not self.headers:
            return {}
        values = {name: self.headers.get(name) for name in TRACE_HEADERS}
        return {
            name: value
            for name, value in values.items()
            if isinstance(value, str) and len(value) <= MAX_TRACE_HEADER_LENGTH
        }

    def with_trace(self, trace: Mapping[str, str]) -> Self:
        """The same delivery with another trace context."""
        others = {name: value for name, value in self.headers.items() if name not in TRACE_HEADERS}
        return msgspec.structs.replace(self, headers=others | dict(trace))


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One persistent message to publish. `exchange` is its name on the broker.

    `timestamp` is in seconds since the epoch.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    app_id: str | None = None
    timestamp: float | None = None
    headers: Headers = {}
    mandatory: bool = False


class Ack(msgspec.Struct, frozen=True):
    """The delivery is done: acknowledge it."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Deliver it again after about `delay_seconds`, with the reason in its headers.

    `redelivery_count` travels with the copy, because the broker starts a new count for the copy.
    It is 0 after an attempt that ended.
    """

    delay_seconds: float
    code: str
    reason: str
    redelivery_count: int = 0


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Move it to the dead-letter queue, bytes unchanged, with the reason in its headers."""

    code: str
    reason: str


Settlement = Ack | Retry | Dead
