"""Decides when to publish an event again that the broker did not accept.

    a queue did not accept it,  later: one event tries whether the destination accepts events again,
      or may not publish there  the others of the destination wait for that one
    the channel was lost        after 1 and 5 seconds, then it is set aside
    others lost the channel     after 1 second: too many events cost it before this one was sent
    AMQP cannot encode it       it is set aside
    the broker is unavailable   nothing is decided: the event is as it was

A destination is an exchange and a routing key: all its events go to the same queues. Queues that
accepted a refused event get it once more with each try. That is why only one event tries.

The event that tries is known by its time: it is tried within MAX_REFUSAL_DELAY_SECONDS. It may be
set aside, be moved by a replay, or wait for another event of its recording. So the relay checks the
outbox for destinations without one (`relay.TRY_INTERVAL_SECONDS`), and another event tries. An
event that cost a channel before never waits for another one, because the destination may not be the
reason.

An event that RabbitMQ did not confirm, or not permit, may have reached none of the queues. When a
full queue is the only obstacle left, such events are published once, for the other queues.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from worker.broker.confirmations import PublishResult
from worker.domain.errors import (
    BrokerUnavailable,
    ChannelLost,
    MessageRefused,
    MessageUnsendable,
    NotConfirmed,
    NotTried,
)
from worker.observability.metrics import Metrics
from worker.store.outbox_marks import SET_ASIDE, Deferral, Offer, PageMarks, Release
from worker.store.unsent_events import UnsentEvent

Result = tuple[UnsentEvent, PublishResult]
Destination = tuple[str, str]

MAX_REFUSAL_DELAY_SECONDS: Final = 30.0
WAIT_FOR_PROBE_SECONDS: Final = 3600.0
"""How long events wait for the event that tries, which may be lost with this process."""

LOSS_DELAYS_SECONDS: Final = (1.0, 5.0)
MAX_LOSSES: Final = len(LOSS_DELAYS_SECONDS) + 1
NOT_TRIED_DELAY_SECONDS: Final = 1.0


class _Probe(NamedTuple):
    """The event that tries for its destination: its position, how often it or those before it were
    refused, and when it is tried again. `error` is the destination's last one."""

    position: int
    refusals: int
    due_at: float
    error: str = ""


class FailurePolicy:
    """Turns the results of a page into marks for the outbox. `now` is in epoch seconds."""

    def __init__(self, *, metrics: Metrics, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = now
        self._probes: dict[Destination, _Probe] = {}

    def marks(self, results: Sequence[Result]) -> PageMarks:
        """The marks for these events in the outbox."""
        sent = [event for event, result in results if not isinstance(result, BrokerUnavailable)]
        refused: dict[Destination, list[tuple[UnsentEvent, BrokerUnavailable]]] = {}
        deferred: list[Deferral] = []
        for event, result in results:
            if isinstance(result, ChannelLost | MessageUnsendable) and not _is_permission(result):
                deferred.append(self._after_loss(event, result))
            elif isinstance(result, NotTried):
                retry_at = self._now() + NOT_TRIED_DELAY_SECONDS
                deferred.append(_deferral(event, result, retry_at, event.losses))
            elif isinstance(result, ChannelLost | MessageRefused | NotConfirmed):
                refused.setdefault(destination(event), []).append((event, result))
        offers: list[Offer] = []
        for events in refused.values():
            offers += self._offers(events)
            deferred += self._after_refusal(events)
        return PageMarks(
            sent=[event.position for event in sent],
            deferred=deferred,
            released=list(self._releases(sent, set(refused))),
            offers=offers,
        )

    def _after_loss(self, event: UnsentEvent, error: ChannelLost | MessageUnsendable) -> Deferral:
        losses = event.losses + 1
        if isinstance(error, MessageUnsendable) or losses >= MAX_LOSSES:
            reason = "unsendable" if isinstance(error, MessageUnsendable) else "channel_lost"
            self._metrics.record_event_set_aside(reason)
            structlog.get_logger().error(
                "event_set_aside",
                event_id=event.event_id,
                event_type=event.event_type,
                exchange=event.exchange,
                routing_key=event.routing_key,
                reason=str(error),
            )
            return _deferral(event, error, SET_ASIDE, losses)
        self._metrics.record_event_deferred("channel_lost")
        return _deferral(event, error, self._now() + LOSS_DELAYS_SECONDS[losses - 1], losses)

    def _offers(self, events: Sequence[tuple[UnsentEvent, BrokerUnavailable]]) -> Iterable[Offer]:
        """The offer to the other queues, if a queue refuses events now and did not before."""
        key, refusal = destination(events[0][0]), _queue_refusal(events)
        probe = self._probes.get(key)
        if refusal is not None and (probe is None or probe.error != str(refusal)):
            yield Offer(exchange=key[0], routing_key=key[1], error=str(refusal))

    def _after_refusal(
        self, events: Sequence[tuple[UnsentEvent, BrokerUnavailable]]
    ) -> Iterable[Deferral]:
        key, now = destination(events[0][0]), self._now()
        first = events[0][0].position
        probe = self._probes.get(key, _Probe(first, 0, now))
        positions = {event.position for event, _ in events}
        if probe.position not in positions and probe.due_at <= now:
            probe = probe._replace(position=first)
        probe_delay = min(MAX_REFUSAL_DELAY_SECONDS, 2.0**probe.refusals)
        if probe.position in positions:
            probe = probe._replace(refusals=probe.refusals + 1, due_at=now + probe_delay)
        self._probes[key] = probe._replace(error=str(_queue_refusal(events) or events[0][1]))
        for event, error in events:
            self._metrics.record_event_deferred("refused")
            tries_itself = event.position == probe.position or event.losses
            delay = probe_delay if tries_itself else WAIT_FOR_PROBE_SECONDS
            yield _deferral(event, error, now + delay, event.losses)

    def _releases(
        self, sent: Sequence[UnsentEvent], refusing: set[Destination]
    ) -> Iterable[Release]:
        """Release twice as many events of a destination as it accepted in this page."""
        accepted: dict[Destination, int] = {}
        for event in sent:
            if event.tries or destination(event) in self._probes:
                accepted[destination(event)] = accepted.get(destination(event), 0) + 1
        for key, count in accepted.items():
            if key not in refusing:
                self._probes.pop(key, None)
                yield Release(exchange=key[0], routing_key=key[1], limit=2 * count)


def destination(event: UnsentEvent) -> Destination:
    """The exchange and the routing key, which together decide on the queues."""
    return event.exchange, event.routing_key


def _queue_refusal(
    events: Sequence[tuple[UnsentEvent, BrokerUnavailable]],
) -> MessageRefused | None:
    return next((error for _, error in events if isinstance(error, MessageRefused)), None)


def _is_permission(result: PublishResult) -> bool:
    """Whether the broker named the destination as the reason for closing the channel."""
    return isinstance(result, ChannelLost) and result.is_permission


def _deferral(
    event: UnsentEvent, error: BrokerUnavailable, retry_at: float, losses: int
) -> Deferral:
    return Deferral(
        position=event.position,
        retry_at=retry_at,
        tries=event.tries + 1,
        losses=losses,
        error=str(error),
    )
