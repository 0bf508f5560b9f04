"""Publishes a batch of events, in the order that each subject needs."""

from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Final

import msgspec
import structlog

from worker.broker.confirmations import PublishResult
from worker.broker.messages import Outgoing
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.broker.tracing_attributes import publish_attributes
from worker.domain.errors import BrokerUnavailable
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Span, Tracing
from worker.publishing.subject_order import SubjectQueues
from worker.store.outbox import UnsentEvent

CONTENT_TYPE: Final = "application/cloudevents+json"


class EventPublisher:
    """Publishes events and replies, and records how each one went. `now` is in epoch seconds."""

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        *,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        now: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._topology = topology
        self._metrics = metrics
        self._tracing = tracing
        self._now = now

    @property
    def is_ready(self) -> bool:
        """Whether the broker can be reached now."""
        return self._publisher.is_ready

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> list[UnsentEvent]:
        """Publish the events in rounds: each round sends the heads of all subjects.

        Returns the events that the broker confirmed. Stops before a round if `may_continue` is
        false. An event that the broker does not confirm blocks only its own subject.
        """
        queues = SubjectQueues(events)
        confirmed: list[UnsentEvent] = []
        failures: list[PublishResult] = []
        while queues.heads and may_continue():
            heads = queues.heads
            results = iter(await self._send([event for head in heads for event in head]))
            counts = []
            for head in heads:
                head_results = list(islice(results, len(head)))
                count = sum(1 for _ in takewhile(_is_confirmed, head_results))
                self._record(head[:count], head_results)
                confirmed += head[:count]
                failures += head_results[count : count + 1]
                counts.append(count)
            queues.advance(counts)
        if failures:
            structlog.get_logger().warning(
                "event_publish_failed", subjects=len(failures), reason=str(failures[0])
            )
        return confirmed

    async def _send(self, events: Sequence[UnsentEvent]) -> Sequence[PublishResult]:
        messages = [self.message(event) for event in events]
        if self._tracing.is_enabled:
            return await self._send_traced(messages)
        return await self._publisher.publish_all(messages)

    def message(self, event: UnsentEvent) -> Outgoing:
        """The message that carries the event. Replies go to their queue by the default exchange."""
        return Outgoing(
            exchange="" if event.exchange == "reply" else self._topology.exchange(event.exchange),
            routing_key=event.routing_key,
            body=event.body,
            message_id=event.event_id,
            type=event.event_type,
            content_type=CONTENT_TYPE,
            correlation_id=event.correlation_id,
            timestamp=event.created_at,
            headers=dict(event.headers),
            # An event needs no subscriber, but a reply that reaches no queue is reported.
            mandatory=event.exchange == "reply",
        )

    async def _send_traced(self, messages: Sequence[Outgoing]) -> Sequence[PublishResult]:
        """Publish each message in a span of the trace that it carries."""
        spans = [self._span(message) for message in messages]
        traced = [
            msgspec.structs.replace(message, headers=message.headers | dict(span.headers))
            for message, span in zip(messages, spans, strict=True)
        ]
        results = await self._publisher.publish_all(traced)
        for span, result in zip(spans, results, strict=True):
            span.end(_failure_code(result))
        return results

    def _span(self, message: Outgoing) -> Span:
        return self._tracing.publish_span(
            {name: str(value) for name, value in message.headers.items()},
            # Reply queues are too many to be span names.
            destination=message.exchange or "(reply)",
            attributes=publish_attributes(message),
        )

    def _record(self, confirmed: Sequence[UnsentEvent], results: Sequence[PublishResult]) -> None:
        for event, result in zip(confirmed, results, strict=False):
            if not result:
                structlog.get_logger().info(
                    "reply_unroutable", event_id=event.event_id, reply_to=event.routing_key
                )
            self._metrics.record_event_published(event.event_type, self._now() - event.created_at)


def _is_confirmed(result: PublishResult) -> bool:
    """Whether the event is done. A reply that reached no queue is done as well."""
    return not isinstance(result, BrokerUnavailable)


def _failure_code(result: PublishResult) -> str | None:
    if isinstance(result, BrokerUnavailable):
        return "broker_unavailable"
    return None if result else "unroutable"
