"""The headers of a copy: those of the delivery, and the worker's own with the reason."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

from worker.broker.aiormq.message_encoder import MAX_SHORT_STRING_BYTES, encoded_header_size
from worker.broker.messages import MAX_COUNT, REDELIVERY_COUNT_HEADER, Delivery, Headers

MAX_REASON_LENGTH: Final = 1000
MAX_HEADER_BYTES: Final = 64 * 1024
"""For the publisher's headers. All headers must fit one frame, by default of 128 KiB."""

DROPPED_HEADERS: Final = "x-dropped-headers"
BROKER_HEADERS: Final = (
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    REDELIVERY_COUNT_HEADER,
)
"""Headers, or their prefixes, about one stay in one queue. A copy starts without them."""


def headers_for_copy(
    delivery: Delivery, *, code: str, reason: str, now: float, redelivery_count: int = 0
) -> Headers:
    """The publisher's headers as far as they can be sent again, and the worker's own.

    The publisher's headers are left out if AMQP cannot hold them again or if they are too large.
    `x-dropped-headers` counts them. The worker's own are `x-attempts`, `x-first-seen`,
    `x-last-seen` (RFC 3339, from `now`, seconds since the epoch), `x-original-routing-key`,
    `x-reason-code`, `x-reason`, and `x-returned` unless it is zero.
    """
    kept, dropped = _sendable(delivery.headers)
    if dropped:
        kept[DROPPED_HEADERS] = dropped
    if redelivery_count:
        kept[REDELIVERY_COUNT_HEADER] = redelivery_count
    first_seen = kept.get("x-first-seen")
    return kept | {
        "x-attempts": attempts_of(kept) + 1,
        "x-first-seen": first_seen if isinstance(first_seen, str) else _rfc3339(now),
        "x-last-seen": _rfc3339(now),
        "x-original-routing-key": delivery.routing_key,
        "x-reason-code": code,
        "x-reason": reason[:MAX_REASON_LENGTH],
    }


def original_routing_key(headers: Mapping[str, object], routing_key: str) -> str:
    """The key of the first publish, also after the message came back from a retry queue."""
    original = headers.get("x-original-routing-key")
    fits = isinstance(original, str) and len(original.encode()) <= MAX_SHORT_STRING_BYTES
    return cast("str", original) if fits else routing_key


def _sendable(headers: Headers) -> tuple[Headers, int]:
    kept: Headers = {}
    dropped, bytes_left = 0, MAX_HEADER_BYTES
    for name, value in headers.items():
        if name.startswith(BROKER_HEADERS):
            continue
        size = encoded_header_size(name, value)
        if size is None or size > bytes_left:
            dropped += 1
        else:
            kept[name] = value
            bytes_left -= size
    return kept, dropped


def attempts_of(headers: Headers) -> int:
    """How many copies of the message were made before."""
    attempts = headers.get("x-attempts")
    return attempts if isinstance(attempts, int) and 0 <= attempts < MAX_COUNT else 0


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
