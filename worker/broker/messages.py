"""What comes in, what goes out, and how a delivery is settled."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Self

import msgspec

Headers = dict[str, object]
REDELIVERY_COUNT_HEADER: Final = "x-returned"
"""On a copy: how often the deliveries before it came back, if none of them was attempted."""
MAX_COUNT: Final = 2**31
TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the broker delivered it, nothing decoded.

    `sent_at` is what the publisher, or the broker if it is told to, noted as the time of sending:
    seconds since the epoch, by their clock, mostly whole ones.
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
        """When a worker first took it, seconds since the epoch; None when none has put it off."""
        at = self.headers.get("x-first-seen")
        try:
            return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else None
        except (ValueError, OverflowError):
            return None

    @property
    def redelivery_count(self) -> int:
        """How often it came back to the queue unsettled, because its consumer was lost.

        Counts on through copies that were put off without an attempt.
        """
        count = self.headers.get("x-delivery-count")
        here = count if isinstance(count, int) else int(self.redelivered)
        before = self.headers.get(REDELIVERY_COUNT_HEADER)
        if isinstance(before, int) and 0 <= before < MAX_COUNT:
            return here + before
        return here

    @property
    def trace(self) -> dict[str, str]:
        """The W3C trace context that travels with the message."""
        if not self.headers:
            return {}
        found = {name: self.headers.get(name) for name in TRACE_HEADERS}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, str) and len(value) <= 8192
        }

    def with_trace(self, trace: Mapping[str, str]) -> Self:
        """The same, with another trace context."""
        others = {name: value for name, value in self.headers.items() if name not in TRACE_HEADERS}
        return msgspec.structs.replace(self, headers=others | dict(trace))


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message to publish, persistent. `exchange` is the real name on the broker."""

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
    """Done: acknowledge."""


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
    """Never: to the dead-letter queue, bytes unchanged, with the reason in its headers."""

    code: str
    reason: str


Settlement = Ack | Retry | Dead
