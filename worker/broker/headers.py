"""What a command carries when it is put into another queue: what it came with, and why."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

from pamqp.common import FieldValue
from pamqp.encode import encode_table_value

from worker.broker.messages import MAX_COUNT, REDELIVERY_COUNT_HEADER, Delivery, Headers

MAX_REASON_LENGTH: Final = 1000
MAX_SHORT_STRING_BYTES: Final = 255
MAX_HEADER_BYTES: Final = 64 * 1024
"""Together with our own they must fit one frame, which by default has 128 KiB."""

DROPPED: Final = "x-dropped-headers"
BROKER_HEADERS: Final = (
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    REDELIVERY_COUNT_HEADER,
)
"""What the broker says of one stay in one queue, and what continues its count."""


def headers_for_copy(
    delivery: Delivery, *, code: str, reason: str, now: float, returned: int = 0
) -> Headers:
    """The headers of a copy: the publisher's as far as they can be sent on, and our own.

    A publisher's headers that AMQP cannot hold again, or that are too many, are left out, and
    `x-dropped-headers` counts them. Our own are `x-attempts`, `x-first-seen`, `x-last-seen` (RFC
    3339, from `now`, seconds since the epoch), `x-original-routing-key`, `x-reason-code`,
    `x-reason`, and unless it is zero `x-returned`.
    """
    kept, dropped = _sendable(delivery.headers)
    if dropped:
        kept[DROPPED] = dropped
    if returned:
        kept[REDELIVERY_COUNT_HEADER] = returned
    first_seen = kept.get("x-first-seen")
    return kept | {
        "x-attempts": _attempts(kept) + 1,
        "x-first-seen": first_seen if isinstance(first_seen, str) else _rfc3339(now),
        "x-last-seen": _rfc3339(now),
        "x-original-routing-key": delivery.routing_key,
        "x-reason-code": code,
        "x-reason": reason[:MAX_REASON_LENGTH],
    }


def original_routing_key(headers: Mapping[str, object], routing_key: str) -> str:
    """The key it was first published with, also after it came back from a retry queue."""
    original = headers.get("x-original-routing-key")
    fits = isinstance(original, str) and len(original.encode()) <= MAX_SHORT_STRING_BYTES
    return cast("str", original) if fits else routing_key


def _sendable(headers: Headers) -> tuple[Headers, int]:
    kept: Headers = {}
    dropped, left = 0, MAX_HEADER_BYTES
    for name, value in headers.items():
        if name.startswith(BROKER_HEADERS):
            continue
        size = _encoded_size(name, value)
        if size is None or size > left:
            dropped += 1
        else:
            kept[name] = value
            left -= size
    return kept, dropped


def _encoded_size(name: str, value: object) -> int | None:
    try:
        return 1 + len(name.encode()) + len(encode_table_value(cast("FieldValue", value)))
    except Exception:  # noqa: BLE001 - each type has errors of its own for what it cannot hold
        return None


def _attempts(headers: Headers) -> int:
    attempts = headers.get("x-attempts")
    return attempts if isinstance(attempts, int) and 0 <= attempts < MAX_COUNT else 0


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
