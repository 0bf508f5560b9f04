"""The properties of a copy: the original's, byte for byte, and the worker's headers.

Some properties cannot be copied. `CC` and `BCC` would send each copy to more queues. The broker
lets a client set `user_id` to its own user only. With `expiration` a copy would leave its retry
queue too early, or vanish from the dead-letter queue. The last two are kept as headers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from worker.broker import headers
from worker.broker.aiormq.message_encoder import encoded_table
from worker.broker.headers import is_sent_on
from worker.broker.messages import (
    ATTEMPTS_HEADER,
    DEAD_REASON_HEADER,
    FIRST_SEEN_HEADER,
    REDELIVERY_COUNT_HEADER,
    Delivery,
    Headers,
    count_in,
)
from worker.broker.properties import (
    DELIVERY_MODE,
    EXPIRATION,
    HEADERS,
    MESSAGE_ID,
    USER_ID,
    PropertyList,
    TableEntry,
    joined_table,
    split_table,
)

MAX_REASON_BYTES: Final = 1000
MAX_HEADER_BYTES: Final = 64 * 1024
"""The publisher's headers may take this many bytes, if the broker's frames are that large."""

DEFAULT_FRAME_BYTES: Final = 131_064
"""The payload of a frame of RabbitMQ's default size."""

HEADER_FRAME_BYTES: Final = 64
"""The size of a content header without its properties, and of the count of dropped headers."""

_CARRIED: Final = frozenset(
    {headers.USER_ID, headers.EXPIRATION, headers.ADDED_MESSAGE_ID, DEAD_REASON_HEADER}
)
"""The worker's headers that each copy repeats."""


class MessageCopy(NamedTuple):
    """The properties that a copy has from the original, and the worker's headers that are added."""

    properties: PropertyList
    headers: Headers


def copy_of(
    delivery: Delivery,
    *,
    code: str,
    reason: str,
    now: float,
    redelivery_count: int = 0,
    own_user: str | None = None,
    max_frame_bytes: int = DEFAULT_FRAME_BYTES,
    own_headers: Mapping[str, object] = {},
) -> MessageCopy:
    """The copy of a delivery that is retried, parked or dead-lettered.

    `now` is in seconds since the epoch, `own_user` the user that publishes the copy, if known.
    `own_headers` take precedence over the worker's other headers. A publisher's header is dropped
    if it does not fit into a frame, or if its end cannot be found. `x-dropped-headers` counts
    these.
    """
    properties, as_headers = properties_of_copy(delivery.properties, own_user)
    own = {
        **{name: delivery.headers[name] for name in _CARRIED if name in delivery.headers},
        **as_headers,
        **_headers_of_copy(delivery, code, reason, now),
        **own_headers,
    }
    if redelivery_count:
        own[REDELIVERY_COUNT_HEADER] = redelivery_count
    if (table := delivery.properties.get(HEADERS)) is not None:
        properties[HEADERS] = table
    own[headers.DROPPED_HEADERS] = count_in(delivery.headers.get(headers.DROPPED_HEADERS))
    return in_frame(MessageCopy(properties, own), max_frame_bytes)


def in_frame(copy: MessageCopy, max_frame_bytes: int) -> MessageCopy:
    """The copy with those of the publisher's headers that may be copied and that fit."""
    properties, own = dict(copy.properties), dict(copy.headers)
    table = properties.pop(HEADERS, b"")
    before = count_in(own.pop(headers.DROPPED_HEADERS, 0))
    used = len(encoded_table(own)) + sum(map(len, properties.values())) + HEADER_FRAME_BYTES
    room = min(MAX_HEADER_BYTES, max_frame_bytes - used)
    entries, dropped = _entries_sent_on(table, room)
    if entries:
        properties[HEADERS] = joined_table(entries)
    if dropped + before:
        own[headers.DROPPED_HEADERS] = dropped + before
    return MessageCopy(properties, own)


def properties_of_copy(
    properties: PropertyList, own_user: str | None
) -> tuple[dict[int, bytes], Headers]:
    """The properties that a copy may have, without headers, and the other properties as headers."""
    copied = dict(properties)
    for flag in (HEADERS, DELIVERY_MODE):
        copied.pop(flag, None)
    if copied.get(MESSAGE_ID) == b"\0":  # the library would not find it in its list
        del copied[MESSAGE_ID]
    as_headers: Headers = {}
    if (expiration := copied.pop(EXPIRATION, None)) is not None:
        as_headers[headers.EXPIRATION] = expiration[1:].decode(errors="replace")
    if (user := copied.get(USER_ID)) is not None:
        as_headers[headers.USER_ID] = user[1:].decode(errors="replace")
        if as_headers[headers.USER_ID] != own_user:
            del copied[USER_ID]
    if MESSAGE_ID not in copied:
        as_headers[headers.ADDED_MESSAGE_ID] = True
    return copied, as_headers


def _headers_of_copy(delivery: Delivery, code: str, reason: str, now: float) -> Headers:
    first_seen = delivery.first_seen
    return {
        ATTEMPTS_HEADER: delivery.attempts + 1,
        FIRST_SEEN_HEADER: rfc3339(now if first_seen is None else min(first_seen, now)),
        headers.LAST_SEEN: rfc3339(now),
        headers.ROUTING_KEY: delivery.routing_key,
        headers.REASON_CODE: code,
        headers.REASON: reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore"),
    }


def _entries_sent_on(table: bytes, room: int) -> tuple[list[TableEntry], int]:
    """The publisher's headers that fit, and the number of the others."""
    entries, is_whole = split_table(table)
    sent_on: list[TableEntry] = []
    dropped = 0 if is_whole else 1
    for name, value in entries:
        if not is_sent_on(name.decode(errors="replace")):
            continue
        size = 1 + len(name) + len(value)
        if size > room:
            dropped += 1
        else:
            sent_on.append((name, value))
            room -= size
    return sent_on, dropped


def rfc3339(seconds: float) -> str:
    """The time in the form of the worker's headers."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
