"""Incoming and outgoing messages, and the ways to settle a delivery."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Self

import msgspec

from worker.broker.properties import PropertyList

Headers = dict[str, object]
ATTEMPTS_HEADER: Final = "x-attempts"
FIRST_SEEN_HEADER: Final = "x-first-seen"
DELIVERY_COUNT_HEADER: Final = "x-delivery-count"
"""The broker writes this header at each redelivery from a quorum queue."""
REDELIVERY_COUNT_HEADER: Final = "x-returned"
"""The header of a copy that counts how often earlier deliveries returned without an attempt."""
DEAD_REASON_HEADER: Final = "x-dead-lettered"
"""The header of a copy with the broker's reason for dead-lettering the command, until its
outcome is published."""
CALLED_AT_HEADER: Final = "x-called-at"
"""The header of a copy whose start may have called the API since that time. The database may have
lost the claim of that attempt."""
UNPARKED_HEADER: Final = "x-unparked"
"""The header of a command that was parked in the store: the position of its parking."""
MAX_COUNT: Final = 2**31
TRACE_HEADERS: Final = ("traceparent", "tracestate", "baggage")
MAX_TRACE_HEADER_LENGTH: Final = 8192


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the broker delivered it, with an undecoded body.

    `unread_bytes` is the size of a body above the limit, else 0. Its bytes were discarded as they
    arrived, so `body` is empty, and only the broker can move the message elsewhere.

    `exchange` is the one that the message was published to. A property that cannot be decoded is
    None here, and among the encoded `properties`. A header that cannot be decoded has its bytes as
    its value. The worker's own headers are those of a copy: see `headers.with_trusted_headers`.

    `sent_at` is the time of sending, in seconds since the epoch, by the clock of the publisher, or
    of the broker if it sets timestamps. It is mostly in whole seconds.
    """

    body: bytes
    unread_bytes: int = 0
    routing_key: str
    exchange: str = ""
    redelivered: bool = False
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    sent_at: float | None = None
    headers: Headers = {}
    properties: PropertyList = {}

    @property
    def size(self) -> int:
        """The bytes of the body as it was sent, dropped or not."""
        return self.unread_bytes or len(self.body)

    @property
    def first_seen(self) -> float | None:
        """When a worker first received it, in epoch seconds. None before the first retry."""
        return _time_in(self.headers.get(FIRST_SEEN_HEADER))

    @property
    def called_at(self) -> float | None:
        """Since when an attempt whose end was not committed may have called, in epoch seconds."""
        return _time_in(self.headers.get(CALLED_AT_HEADER))

    @property
    def attempts(self) -> int:
        """How many copies of the message were made before, also without an attempt."""
        return count_in(self.headers.get(ATTEMPTS_HEADER))

    @property
    def redelivery_count(self) -> int:
        """How often the message returned to the queue because its consumer was lost.

        This includes the counts of earlier copies that were retried without an attempt.
        """
        own_count = count_in(self.headers.get(DELIVERY_COUNT_HEADER, int(self.redelivered)))
        return own_count + count_in(self.headers.get(REDELIVERY_COUNT_HEADER))

    @property
    def dead_reason(self) -> str | None:
        """Why the broker dead-lettered the command. None unless it did."""
        reason = self.headers.get(DEAD_REASON_HEADER)
        return reason if isinstance(reason, str) else None

    @property
    def unparked(self) -> int | None:
        """The position of the parking that ended with this message. None if it was not parked."""
        position = self.headers.get(UNPARKED_HEADER)
        return position if isinstance(position, int) and position > 0 else None

    def with_dead_reason(self, reason: str) -> Self:
        """The same delivery, marked as one that the broker dead-lettered."""
        return msgspec.structs.replace(self, headers=self.headers | {DEAD_REASON_HEADER: reason})

    @property
    def trace(self) -> dict[str, str]:
        """The W3C trace context of the message."""
        if not self.headers:
            return {}
        values = {name: _text(self.headers.get(name)) for name in TRACE_HEADERS}
        return {
            name: value
            for name, value in values.items()
            if value is not None and len(value) <= MAX_TRACE_HEADER_LENGTH
        }

    def with_trace(self, trace: Mapping[str, str]) -> Self:
        """The same delivery with another trace context."""
        others = {name: value for name, value in self.headers.items() if name not in TRACE_HEADERS}
        return msgspec.structs.replace(self, headers=others | dict(trace))


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One persistent message to publish. `exchange` is its name on the broker.

    `timestamp` is in seconds since the epoch. A copy of another message has that message's encoded
    properties in `original`. They take precedence over the fields here, and `headers` are added to
    the original's.
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
    original: PropertyList = {}
    mandatory: bool = False


def _text(value: object) -> str | None:
    """A text, also one that a client library sent as a byte array."""
    if isinstance(value, bytearray):
        return value.decode() if value.isascii() else None
    return value if isinstance(value, str) else None


def _time_in(value: object) -> float | None:
    """The time in a header, in epoch seconds. None if the header has none that can be right."""
    try:
        seconds = datetime.fromisoformat(value).timestamp() if isinstance(value, str) else -1.0
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def count_in(value: object) -> int:
    """The count in a header; 0 if the header has none that can be right."""
    return value if isinstance(value, int) and 0 <= value < MAX_COUNT else 0


class Ack(msgspec.Struct, frozen=True):
    """The delivery is done: acknowledge it."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Deliver it again after about `delay_seconds`, with the reason in its headers.

    `redelivery_count` travels with the copy, because the broker starts a new count for the copy.
    It is 0 after an attempt that ended. With `first_seen`, in epoch seconds, the age of the command
    counts from then. With `called_at`, in epoch seconds, the start may have called the API since
    then, and the store may not know.
    """

    delay_seconds: float
    code: str
    reason: str
    redelivery_count: int = 0
    first_seen: float | None = None
    called_at: float | None = None


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Move it to the dead-letter queue, bytes unchanged, with the reason in its headers."""

    code: str
    reason: str


Settlement = Ack | Retry | Dead
