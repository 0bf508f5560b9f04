"""Publishes what is committed, then remembers that it did.

Order is kept per subject: of one recording's events, and of one command's outcome and replies,
the next is published only when the one before is confirmed; the files of a recording, of which
there may be thousands, follow each other without that wait. Subjects do not wait for each other.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from typing import Final

import msgspec
import structlog

from recording_schemas import EVENT_TYPES, FileReady
from worker.aio import wait_until_set
from worker.broker.confirmations import PublishResult
from worker.broker.messages import Outgoing
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.broker.tracing_attributes import publish_attributes
from worker.domain.errors import BrokerUnavailable, StoreUnavailable
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Span, Tracing
from worker.store.outbox import UnsentEvent
from worker.store.store import Store

BATCH: Final = 500
MOST_PAGES: Final = 20
"""How far one pass looks for events beyond those that the broker does not take."""

FILE_READY: Final = EVENT_TYPES[FileReady]
CONTENT_TYPE: Final = "application/cloudevents+json"


class OutboxRelay:
    """Moves the outbox to the broker. `wake` says that there may be something in it."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        topology: Topology,
        *,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        now: Callable[[], float],
        idle_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._topology = topology
        self._metrics = metrics
        self._tracing = tracing
        self._now = now
        self._idle_seconds = idle_seconds
        self._leads: Callable[[], bool] = lambda: True
        self._failures: list[str] = []
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    async def run(self, leads: Callable[[], bool]) -> None:
        """Relay for ever, whenever this replica leads."""
        self._leads = leads
        while True:
            self._woken.clear()
            if not (leads() and await self.once()):
                await self._idle()

    async def once(self, *, until: float = math.inf) -> bool:
        """Publish what is unsent, page by page, until one begins with what was committed later than
        `until` (seconds). True when there may be more to do at once."""
        # `flush` runs beside `run`: both would find the same events unsent.
        async with self._turn:
            try:
                return await self._pass(until)
            except StoreUnavailable as error:
                structlog.get_logger().warning("relay_store_unavailable", reason=str(error))
                return False

    async def _pass(self, until: float) -> bool:
        """One way through the outbox, past the subjects that the broker does not take now."""
        stuck: set[str] = set()
        published = position = 0
        sent: list[UnsentEvent] = []
        more = False
        for _ in range(MOST_PAGES):
            # What is stuck waits still, and so holds back all of its subject that comes later.
            waiting = await self._store.unsent(
                BATCH, after=position, sent=[one.position for one in sent], now=self._now()
            )
            sent = []
            if not (more := bool(waiting) and waiting[0].created_at <= until):
                break
            position = waiting[-1].position
            sent = await self._publish_all(waiting)
            published += len(sent)
            done = {one.position for one in sent}
            stuck |= {one.subject for one in waiting if one.position not in done}
            if not (more := self._leads() and self._publisher.is_ready):
                break
        if sent:
            await self._store.mark_sent([one.position for one in sent], self._now())
        if published or stuck:
            structlog.get_logger().info("relay", published=published, stuck=len(stuck))
        return more and not stuck

    async def flush(self) -> None:
        """Publish what is committed by now, as far as the broker takes it."""
        now = self._now()
        while await self.once(until=now):
            pass

    async def _idle(self) -> None:
        await wait_until_set(self._woken, self._idle_seconds)

    async def _publish_all(self, waiting: list[UnsentEvent]) -> list[UnsentEvent]:
        """Those that the broker took, published in rounds: in each the heads of all lines.

        The first of a line that is not taken keeps the rest of that line waiting.
        """
        lines = _by_subject(waiting)
        sent: list[UnsentEvent] = []
        self._failures.clear()
        while lines and self._leads():  # lost on the way: another replica publishes these by now
            heads = [_head(line) for line in lines]
            flying = [self._message(one) for head in heads for one in head]
            landed = iter(await self._publish(flying))
            left = []
            for line, head in zip(lines, heads, strict=True):
                taken = self._taken(head, list(islice(landed, len(head))))
                sent += head[:taken]
                if taken == len(head) < len(line):
                    left.append(line[taken:])
            lines = left
        if self._failures:
            structlog.get_logger().warning(
                "publish_failed", subjects=len(self._failures), reason=self._failures[0]
            )
        return sent

    async def _publish(self, messages: Sequence[Outgoing]) -> Sequence[PublishResult]:
        """Publish them; each is told of in the trace that it carries, and carries that on."""
        if not self._tracing.is_enabled:
            return await self._publisher.publish_all(messages)
        spans = [self._span(one) for one in messages]
        carrying = [
            msgspec.structs.replace(one, headers=one.headers | dict(span.headers))
            for one, span in zip(messages, spans, strict=True)
        ]
        landed = await self._publisher.publish_all(carrying)
        for span, published in zip(spans, landed, strict=True):
            failed = isinstance(published, BrokerUnavailable)
            span.end("broker_unavailable" if failed else None if published else "unroutable")
        return landed

    def _span(self, message: Outgoing) -> Span:
        carried = {name: str(value) for name, value in message.headers.items()}
        facts = publish_attributes(message)
        # The queues of replies are too many to be names.
        destination = message.exchange or "(reply)"
        return self._tracing.publish_span(carried, destination=destination, attributes=facts)

    def _taken(self, head: Sequence[UnsentEvent], landed: Sequence[PublishResult]) -> int:
        """How many of the head the broker took before the first that it did not."""
        for number, (one, published) in enumerate(zip(head, landed, strict=True)):
            if isinstance(published, BrokerUnavailable):
                self._failures.append(str(published))
                return number
            if not published:
                structlog.get_logger().info(
                    "reply_unroutable", event_id=one.event_id, reply_to=one.routing_key
                )
            self._metrics.record_event_published(one.event_type, self._now() - one.created_at)
        return len(head)

    def _message(self, one: UnsentEvent) -> Outgoing:
        reply = one.exchange == "reply"
        return Outgoing(
            exchange="" if one.exchange == "reply" else self._topology.exchange(one.exchange),
            routing_key=one.routing_key,
            body=one.body,
            message_id=one.event_id,
            type=one.event_type,
            content_type=CONTENT_TYPE,
            correlation_id=one.correlation_id,
            timestamp=one.created_at,
            headers=dict(one.headers),
            # Nobody need listen to an event, but whoever asked for a reply should get it.
            mandatory=reply,
        )


def _by_subject(waiting: Iterable[UnsentEvent]) -> list[list[UnsentEvent]]:
    lines: dict[str, list[UnsentEvent]] = {}
    for one in waiting:
        lines.setdefault(one.subject, []).append(one)
    return list(lines.values())


def _head(line: Sequence[UnsentEvent]) -> Sequence[UnsentEvent]:
    """What of a line may be in flight together: one event, or all the files next to each other.

    The broker takes them in their order. Should it refuse one, those behind it are published again
    after it.
    """
    files = list(takewhile(lambda one: one.event_type == FILE_READY, line))
    return files or line[:1]
