"""The dead-letter queue: reading it without taking from it, sending letters back, dropping them.

Each letter is taken, held, and given back at the end of the visit. Quorum queues count that: a
broker that limits deliveries (from 4.0 on to 20 where the queue says nothing) throws a letter away
that was looked at more often.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import (
    AbstractConnection,
    AbstractExchange,
    HeadersType,
)
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError

from worker.broker.admin.dead_letter_reason import (
    FIRST_SEEN_BEFORE_REPLAY,
    DeadLetterReason,
    reason_from_headers,
)
from worker.broker.admin.one_shot import error_summary
from worker.broker.admin.queue_browser import QueueBrowser, tag_of
from worker.broker.aiormq.raw_channel import RawMessage, raw_channel
from worker.broker.connection import BROKER_ERRORS, broker_call, open_channel
from worker.broker.headers import BROKER_HEADERS, original_routing_key
from worker.broker.messages import Headers
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology
from worker.domain.errors import BrokerUnavailable, TopologyDiffers

REPLAYED_AT: Final = "x-replayed-at"
REPLAYS: Final = "x-replays"
MAX_REPLAYS: Final = 2**31


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the dead-letter queue, nothing decoded.

    `position` counts from 1 at the head of the queue, where the oldest lies. `routing_key` is the
    one it was first published with. `reason` says why it is here.
    """

    position: int
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
        """32 hexadecimal digits that stay the same for as long as the letter lies here."""
        told = (self.body, self.routing_key, self.message_id, self.replayed_at, self.reason)
        return hashlib.sha256(msgspec.msgpack.encode(told)).hexdigest()[:32]

    @property
    def replays(self) -> int:
        """How often it was sent back before."""
        count = self.headers.get(REPLAYS)
        return count if isinstance(count, int) and 0 <= count < MAX_REPLAYS else 0

    @property
    def replayed_at(self) -> str | None:
        """When it was last sent back, RFC 3339."""
        text = self.headers.get(REPLAYED_AT)
        return text if isinstance(text, str) else None


class DeadLetterQueue:
    """One visit to the dead-letter queue; `open_dead_letter_queue` makes it.

    What `next` has returned is held: nobody else gets it before the visit ends. Every method
    raises BrokerUnavailable when the broker does not answer; the broker then gives back by itself
    what was held.
    """

    def __init__(
        self,
        held: QueueBrowser,
        commands: AbstractExchange,
        *,
        dead_queue: str,
        timeout: float,
        now: Callable[[], float],
    ) -> None:
        self._held = held
        self._commands = commands
        self._dead_queue = dead_queue
        self._timeout = timeout
        self._now = now
        self._position = 0

    @property
    def remaining(self) -> int:
        """How many of those that waited at the start have not been looked at."""
        return self._held.unread

    async def next(self) -> DeadLetter | None:
        """The next letter, oldest first; None after the last of those that waited at the start.

        A letter that comes back dead while others are being replayed is left for the next visit.
        """
        with _told():
            message = await self._held.next()
        if message is None:
            return None
        self._position += 1
        return _letter(self._position, message, self._dead_queue)

    async def replay(self, letter: DeadLetter) -> None:
        """Send it back to where it came from, and take it out of the dead-letter queue after that.

        The copy has the letter's bytes, properties and headers, `x-replays` and `x-replayed-at`.
        Its age begins anew: `x-first-seen` has become `x-replay-first-seen`.
        If this is cut short between the two steps there is a copy and the letter as well: both
        have one id.

        Raises:
            TopologyDiffers: no queue takes it. It stays a dead letter.
            BrokerUnavailable: no confirmation in time. It stays; the copy may exist all the same.
            ValueError: it has headers that cannot be sent again. It stays.
        """
        message = _copy(letter, self._now())
        try:
            await broker_call(
                self._commands.publish(
                    message, letter.routing_key, mandatory=True, timeout=self._timeout
                )
            )
        except PublishError as error:
            raise TopologyDiffers(
                f"not replayed: no queue is bound to {self._commands.name!r} for "
                f"{letter.routing_key!r}"
            ) from error
        except TimeoutError as error:
            raise BrokerUnavailable(
                f"no confirmation within {self._timeout:g} s from {self._commands.name!r}"
            ) from error
        except BROKER_ERRORS as error:
            raise BrokerUnavailable(f"not confirmed: {error_summary(error)}") from error
        except (TypeError, OverflowError) as error:
            raise ValueError(f"its headers cannot be sent again: {error_summary(error)}") from error
        await self.drop(letter)

    async def drop(self, letter: DeadLetter) -> None:
        """Take it out of the dead-letter queue for good."""
        with _told():
            await self._held.acknowledge(letter.tag)

    async def requeue(self) -> None:
        """Put everything that is held back to its place."""
        with _told():
            await self._held.give_back()


@asynccontextmanager
async def open_dead_letter_queue(
    connection: AbstractConnection,
    topology: Topology,
    *,
    timeout: float,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[DeadLetterQueue]:
    """Visit the dead-letter queue; what is held at the end is given back.

    `timeout` bounds the wait for each confirmation, in seconds. Raises TopologyDiffers when the
    queue or the exchange for commands does not exist, BrokerUnavailable when nothing answers.
    """
    with _told():
        reading = await open_channel(connection)
        queue = await reading.declare_queue(
            topology.dead_queue, passive=True, timeout=RPC_TIMEOUT_SECONDS
        )
        channel = await raw_channel(reading)
        # A channel of its own: the broker closes it over a mistake, and with it all it holds.
        publishing = await open_channel(connection, confirms=True)
        commands = await publishing.declare_exchange(
            topology.exchange("commands"), passive=True, timeout=RPC_TIMEOUT_SECONDS
        )
    letters = DeadLetterQueue(
        QueueBrowser(queue, channel),
        commands,
        dead_queue=topology.dead_queue,
        timeout=timeout,
        now=now,
    )
    try:
        yield letters
    except BaseException:
        with suppress(BrokerUnavailable):  # what went wrong is told, a lost connection gives back
            await letters.requeue()
        raise
    await letters.requeue()


@contextmanager
def _told() -> Iterator[None]:
    """The library's errors in our own words."""
    try:
        yield
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(f"missing on the broker: {error_summary(error)}") from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error


def _letter(position: int, message: RawMessage, dead_queue: str) -> DeadLetter:
    properties = message.header.properties
    headers: Headers = dict(properties.headers or {})
    return DeadLetter(
        position=position,
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


def _copy(letter: DeadLetter, now: float) -> aio_pika.Message:
    """Without `user_id`, which must be the sender's own, and `expiration`, which has passed."""
    return aio_pika.Message(
        letter.body,
        headers=_headers(letter, now),
        content_type=letter.content_type,
        content_encoding=letter.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        # The library makes one up where there is none; that of a second copy would be another.
        message_id=letter.message_id or letter.fingerprint,
        correlation_id=letter.correlation_id,
        reply_to=letter.reply_to,
        type=letter.type,
        app_id=letter.app_id,
        timestamp=letter.timestamp,
    )


def _headers(letter: DeadLetter, now: float) -> HeadersType:
    kept = {name: v for name, v in letter.headers.items() if not name.startswith(BROKER_HEADERS)}
    # Workers give a command up some time after x-first-seen: with the old one, at once.
    first_seen = kept.pop("x-first-seen", None)
    if first_seen is not None:
        kept.setdefault(FIRST_SEEN_BEFORE_REPLAY, first_seen)
    return {
        **kept,  # type: ignore[dict-item]  # as AMQP gave them
        "x-original-routing-key": letter.routing_key,
        REPLAYS: letter.replays + 1,
        REPLAYED_AT: datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
    }
