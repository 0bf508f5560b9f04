"""One dead letter: read from the message, and as the message that replays it."""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

from worker.broker.admin.dead_letter_reason import (
    ATTEMPTS_BEFORE_REPLAY,
    FIRST_SEEN_BEFORE_REPLAY,
    DeadLetterReason,
    reason_from_headers,
)
from worker.broker.headers import ADDED_MESSAGE_ID, is_replayed, original_routing_key
from worker.broker.message_copy import properties_of_copy, rfc3339
from worker.broker.messages import FIRST_SEEN_HEADER, Delivery, Headers, Outgoing, count_in
from worker.broker.properties import (
    APP_ID,
    CONTENT_ENCODING,
    HEADERS,
    MESSAGE_ID,
    TYPE,
    PropertyList,
    joined_table,
    split_table,
    text_property,
    timestamp_property,
)
from worker.domain.times import utc

REPLAYED_AT: Final = "x-replayed-at"
REPLAYS: Final = "x-replays"

_UNKNOWN_TIME: Final = datetime.min.replace(tzinfo=UTC)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the dead-letter queue, with an undecoded body.

    `position` counts from 1 for the oldest letter. `routing_key` is the key of the first publish.
    `reason` says why the message is here. `tag` is valid while the queue is open. `properties` are
    all properties as AMQP has them. A replay gets `added_headers` as well.
    """

    position: int = 0
    tag: int
    body: bytes
    routing_key: str
    reason: DeadLetterReason
    headers: Headers = {}
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    timestamp: datetime | None = None
    properties: PropertyList = {}
    added_headers: Headers = {}

    @property
    def fingerprint(self) -> str:
        """An id of 32 hexadecimal digits. It does not change while the letter is in this queue."""
        identity = (self.body, self.routing_key, self.message_id, self.replayed_at, self.reason)
        return hashlib.sha256(msgspec.msgpack.encode(identity)).hexdigest()[:32]

    @property
    def dead_since(self) -> datetime:
        """The time of its dead-lettering, else of its first delivery to a worker. Else the year
        1."""
        return self.reason.last_seen or self.reason.first_seen or _UNKNOWN_TIME

    @property
    def replays(self) -> int:
        """How often it was replayed before."""
        return count_in(self.headers.get(REPLAYS))

    @property
    def replayed_at(self) -> str | None:
        """When it was last replayed, RFC 3339."""
        text = self.headers.get(REPLAYED_AT)
        return text if isinstance(text, str) else None


def dead_letter_from(tag: int, message: Delivery, dead_queue: str) -> DeadLetter:
    """Read a message of the dead-letter queue."""
    headers, properties = message.headers, message.properties
    command_queue = dead_queue.removesuffix(".dead")
    key = message.routing_key
    reason = reason_from_headers(headers, dead_queue=dead_queue)
    is_id_added = reason.by == "worker" and headers.get(ADDED_MESSAGE_ID) is True
    seconds = timestamp_property(properties)
    return DeadLetter(
        tag=tag,
        body=message.body,
        # Only a message from a retry queue has the name of the queue as its key.
        routing_key=original_routing_key(headers, key) if key == command_queue else key,
        reason=reason,
        headers=headers,
        content_type=message.content_type,
        content_encoding=text_property(properties, CONTENT_ENCODING),
        message_id=None if is_id_added else message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        type=text_property(properties, TYPE),
        app_id=text_property(properties, APP_ID),
        timestamp=None if seconds is None else utc(seconds),
        properties=properties,
    )


def replay_of(letter: DeadLetter, exchange: str, now: float, own_user: str | None) -> Outgoing:
    """The message that replays a letter. `now` is in seconds since the epoch.

    It has the letter's properties except two: the `expiration`, because it has passed, and a
    `user_id` that is not `own_user`.
    """
    properties, as_headers = properties_of_copy(letter.properties, own_user)
    properties.pop(MESSAGE_ID, None)
    as_headers.pop(ADDED_MESSAGE_ID, None)
    own = as_headers | _replay_headers(letter, now)
    entries, _ = split_table(letter.properties.get(HEADERS, b""))
    kept_headers = [(name, value) for name, value in entries if _is_kept(name, own)]
    if kept_headers:
        properties[HEADERS] = joined_table(kept_headers)
    return Outgoing(
        exchange=exchange,
        routing_key=letter.routing_key,
        body=letter.body,
        # A random id would differ between two replays of the same letter.
        message_id=letter.message_id or letter.fingerprint,
        original=properties,
        headers=own,
        mandatory=True,
    )


def _is_kept(encoded_name: bytes, own: Headers) -> bool:
    name = encoded_name.decode(errors="replace")
    return is_replayed(name) and name not in own


def _replay_headers(letter: DeadLetter, now: float) -> Headers:
    headers: Headers = {
        **letter.added_headers,
        "x-original-routing-key": letter.routing_key,
        REPLAYS: letter.replays + 1,
        REPLAYED_AT: rfc3339(now),
    }
    # Workers end a command some time after x-first-seen. The old value would end it at once.
    first_seen = letter.headers.get(FIRST_SEEN_HEADER)
    if isinstance(first_seen, str) and FIRST_SEEN_BEFORE_REPLAY not in letter.headers:
        headers[FIRST_SEEN_BEFORE_REPLAY] = first_seen
    if letter.reason.attempts is not None:
        headers[ATTEMPTS_BEFORE_REPLAY] = letter.reason.attempts
    return headers
