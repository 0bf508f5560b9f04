"""Publishes a batch of events, in the order that each subject needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from recording_schemas import EVENT_CONTENT_TYPE
from worker.broker.confirmations import PublishResult
from worker.broker.messages import Outgoing
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.broker.tracing_attributes import publish_attributes
from worker.domain.errors import (
    BrokerUnavailable,
    ChannelLost,
    LostInFlight,
    MessageRefused,
    NotTried,
)
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Span, Tracing
from worker.publishing.failure_policy import Destination, FailurePolicy, Result, destination
from worker.publishing.reply_policy import ReplyPolicy
from worker.publishing.subject_order import SubjectQueues
from worker.store.outbox_marks import PageMarks
from worker.store.unsent_events import UnsentEvent

DIRECT_REPLY_PREFIX: Final = "amq.rabbitmq.reply-to."
MAX_LOSSES_PER_ROUND: Final = 4
"""After this many lost channels, the remaining events of a round wait a second, so that new
events are published. Each lost connection takes about a quarter of a second."""

MAX_SILENT_LOSSES: Final = 2
"""After this many connections in a row that ended without a reason, events are sent singly."""


class PublishedPage(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a page of events. `is_unavailable`: the broker is unavailable."""

    marks: PageMarks
    is_unavailable: bool


class EventPublisher:
    """Publishes events, or replies, and records the result of each. `now` is in epoch seconds."""

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        *,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        now: Callable[[], float],
        reply_pattern: str = "",
    ) -> None:
        self._publisher = publisher
        self._topology = topology
        self._metrics = metrics
        self._tracing = tracing
        self._now = now
        self._silent_losses = 0
        # The events that were alone in flight when a connection ended without a reason.
        self._lost_alone: set[int] = set()
        self._policy = FailurePolicy(metrics=metrics, now=now)
        self._reply_policy = ReplyPolicy(topology, reply_pattern)

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> PublishedPage:
        """Publish the events in rounds: each round sends the heads of all subjects.

        A reply that may not go to its queue counts as done without being sent. Stops before a round
        if `may_continue` is false, or if the broker is unavailable. An event that the broker does
        not accept delays only its own subject.
        """
        refused = [event for event in events if self._is_refused(event)]
        positions = {event.position for event in refused}
        queues = SubjectQueues([event for event in events if event.position not in positions])
        results: list[Result] = []
        is_unavailable = False
        while queues.heads and may_continue() and not is_unavailable:
            heads = queues.heads
            by_position = await self._send_round(
                [event for head in heads for event in head], may_continue
            )
            are_confirmed = []
            for head in heads:
                head_results = [(event, by_position[event.position]) for event in head]
                are_confirmed.append(all(_is_confirmed(result) for _, result in head_results))
                results += head_results
            is_unavailable = any(map(_is_unavailable, by_position.values()))
            queues.advance(are_confirmed)
        self._record(results)
        results += [(event, False) for event in refused]
        return PublishedPage(marks=self._policy.marks(results), is_unavailable=is_unavailable)

    def _is_refused(self, event: UnsentEvent) -> bool:
        """Whether it is a reply that may not go to its queue. Counts and logs it."""
        if event.exchange != "reply":
            return False
        reason = self._reply_policy.refusal(event.routing_key)
        if reason is None:
            return False
        self._metrics.record_reply_refused(reason)
        structlog.get_logger().warning(
            "reply_refused", event_id=event.event_id, reply_to=event.routing_key, reason=reason
        )
        return True

    async def _send_round(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> dict[int, PublishResult]:
        """Send all events at once, except those that must be sent one by one.

        These are events that cost a channel before, and after a loss of this channel all that may
        have cost it. After several connections that ended without a reason, all events are sent one
        by one. So are events whose id is in the batch already.
        """
        is_suspected = self._silent_losses >= MAX_SILENT_LOSSES
        batch = _first_of_each_id(event for event in events if not (event.losses or is_suspected))
        in_batch = {event.position for event in batch}
        results: dict[int, PublishResult] = {}
        if batch:
            results = _by_position(batch, await self._send(batch))
        singly = [event for event in events if event.position not in in_batch]
        if len(batch) > 1:
            singly += [event for event in batch if isinstance(results[event.position], ChannelLost)]
        if singly:
            results = _with_blame(results, await self._send_singly(singly, may_continue))
        is_silent = any(isinstance(result, LostInFlight) for result in results.values())
        self._silent_losses = self._silent_losses + 1 if is_silent else 0
        return results

    async def _send_singly(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> dict[int, PublishResult]:
        """Send one event after another, to find out which events cost the channel.

        Events that cost it before, and those that are likely to cost it, are sent last. So each
        round reaches other events, until the broker confirms one.
        """
        results: dict[int, PublishResult] = {}
        lost: dict[Destination, PublishResult] = {}
        losses = 0
        stopped: BrokerUnavailable | None = None
        for event in sorted(events, key=self._suspicion):
            stopped = stopped or _reason_to_stop(losses, may_continue)
            result = stopped or lost.get(destination(event))
            if result is None:
                result = (await self._send([event]))[0]
                losses += isinstance(result, ChannelLost | LostInFlight)
                self._note_lost_alone(event, result)
            results[event.position] = result
            if type(result) is BrokerUnavailable:
                stopped = result
            elif isinstance(result, ChannelLost) and _is_about_destination(event, result):
                lost[destination(event)] = result
        return results

    def _note_lost_alone(self, event: UnsentEvent, result: PublishResult) -> None:
        if isinstance(result, LostInFlight):
            self._lost_alone.add(event.position)
        else:
            self._lost_alone.discard(event.position)

    def _suspicion(self, event: UnsentEvent) -> tuple[bool, bool]:
        """Whether the event cost a channel or a connection before, and whether it is a direct
        reply. A wrong address of a direct reply costs the connection."""
        cost_before = event.losses > 0 or event.position in self._lost_alone
        return cost_before, event.routing_key.startswith(DIRECT_REPLY_PREFIX)

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
            content_type=EVENT_CONTENT_TYPE,
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

    def _record(self, results: Sequence[Result]) -> None:
        for event, result in results:
            if isinstance(result, BrokerUnavailable):
                continue
            if not result:
                structlog.get_logger().info(
                    "reply_unroutable", event_id=event.event_id, reply_to=event.routing_key
                )
            self._metrics.record_event_published(event.event_type, self._now() - event.created_at)
        failures = [result for _, result in results if isinstance(result, BrokerUnavailable)]
        if failures:
            structlog.get_logger().warning(
                "event_publish_failed", events=len(failures), reason=str(failures[0])
            )


def _first_of_each_id(events: Iterable[UnsentEvent]) -> list[UnsentEvent]:
    """Two messages of one id may not be in flight at once."""
    first: dict[str, UnsentEvent] = {}
    for event in events:
        first.setdefault(event.event_id, event)
    return list(first.values())


def _by_position(
    events: Sequence[UnsentEvent], results: Sequence[PublishResult]
) -> dict[int, PublishResult]:
    positions = (event.position for event in events)
    return dict(zip(positions, results, strict=True))


def _with_blame(
    batch: Mapping[int, PublishResult], singly: Mapping[int, PublishResult]
) -> dict[int, PublishResult]:
    """The results of a round. If an event was alone in flight when the connection ended, it
    counts as the cause if the broker confirmed others in this round."""
    results = {**batch, **singly}
    if not any(map(_is_confirmed, results.values())):
        return results
    return {
        position: ChannelLost(str(result))
        if position in singly and isinstance(result, LostInFlight)
        else result
        for position, result in results.items()
    }


def _reason_to_stop(losses: int, may_continue: Callable[[], bool]) -> BrokerUnavailable | None:
    if not may_continue():
        return BrokerUnavailable("this replica no longer leads")
    if losses >= MAX_LOSSES_PER_ROUND:
        return NotTried(f"{losses} other events cost the channel")
    return None


def _is_about_destination(event: UnsentEvent, error: ChannelLost) -> bool:
    """Whether all events of the destination would cost the channel."""
    return event.exchange == "reply" or error.is_permission


def _is_unavailable(result: PublishResult) -> bool:
    """Whether the broker accepted nothing, so that the event is not known to be the cause."""
    return type(result) in {BrokerUnavailable, LostInFlight}


def _is_confirmed(result: PublishResult) -> bool:
    """Whether the event is done. A reply that reached no queue is done as well."""
    return not isinstance(result, BrokerUnavailable)


def _failure_code(result: PublishResult) -> str | None:
    if isinstance(result, MessageRefused):
        return "refused"
    if isinstance(result, BrokerUnavailable):
        return "broker_unavailable"
    return None if result else "unroutable"
