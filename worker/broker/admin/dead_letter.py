"""One dead letter: read from the message, and as the message that replays it."""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

from worker.broker.admin.dead_letter_reason import (
    FIRST_SEEN_BEFORE_REPLAY,
    DeadLetterReason,
    reason_from_headers,
)
from worker.broker.admin.queue_browser import tag_of
from worker.broker.aiormq.raw_channel import RawMessage
from worker.broker.headers import BROKER_HEADERS, original_routing_key
from worker.broker.messages import Headers, Outgoing

REPLAYED_AT: Final = "x-replayed-at"
REPLAYS: Final = "x-replays"
MAX_REPLAYS: Final = 2**31

_UNKNOWN_TIME: Final = datetime.min.replace(tzinfo=UTC)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the dead-letter queue, with an undecoded body.

    `position` counts from 1 for the oldest letter. `routing_key` is the key of the first publish.
    `reason` says why the message is here. `tag` is valid while the queue is open.
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

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that do not change while the letter is in this queue."""
        identity = (self.body, self.routing_key, self.message_id, self.replayed_at, self.reason)
        return hashlib.sha256(msgspec.msgpack.encode(identity)).hexdigest()[:32]

    @property
    def dead_since(self) -> datetime:
        """When it was dead-lettered, else when it was first seen, else the year 1."""
        return self.reason.last_seen or self.reason.first_seen or _UNKNOWN_TIME

    @property
    def replays(self) -> int:
        """How often it was replayed before."""
        count = self.headers.get(REPLAYS)
        return count if isinstance(count, int) and 0 <= count < MAX_REPLAYS else 0

    @property
    def replayed_at(self) -> str | None:
        """When it was last replayed, RFC 3339."""
        text = self.headers.get(REPLAYED_AT)
        return text if isinstance(text, str) else None


def dead_letter_from(message: RawMessage, dead_queue: str) -> DeadLetter:
    """Read a message of the dead-letter queue."""
    properties = message.header.properties
    headers: Headers = dict(properties.headers or {})
    return DeadLetter(
        tag=tag_of(message),
        body=message.body,
        routing_key=original_routing_key(headers, message.routing_key or ""),
        reason=reason_from_headers(headers, dead_queue=dead_queue),
        headers=headers,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        type=properties.message_type,
        app_id=properties.app_id,
        timestamp=properties.timestamp,
    )


def replay_of(letter: DeadLetter, exchange: str, now: float) -> Outgoing:
    """The message that replays a letter. `now` is in seconds since the epoch.

    It lacks the `user_id`, which must be the sender's own, and the `expiration`, which has passed.
    """
    return Outgoing(
        exchange=exchange,
        routing_key=letter.routing_key,
        body=letter.body,
        headers=_replay_headers(letter, now),
        content_type=letter.content_type,
        content_encoding=letter.content_encoding,
        # A random id would differ between two replays of the same letter.
        message_id=letter.message_id or letter.fingerprint,
        correlation_id=letter.correlation_id,
        reply_to=letter.reply_to,
        type=letter.type,
        app_id=letter.app_id,
        timestamp=letter.timestamp.timestamp() if letter.timestamp else None,
        mandatory=True,
    )


def _replay_headers(letter: DeadLetter, now: float) -> Headers:
    kept = {name: v for name, v in letter.headers.items() if not name.startswith(BROKER_HEADERS)}
    # Workers give up a command some time after x-first-seen. With the old value: at once.
    first_seen = kept.pop("x-first-seen", None)
    if first_seen is not None:
        kept.setdefault(FIRST_SEEN_BEFORE_REPLAY, first_seen)
    return {
        **kept,
        "x-original-routing-key": letter.routing_key,
        REPLAYS: letter.replays + 1,
        REPLAYED_AT: datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
    }
