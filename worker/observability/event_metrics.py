"""The metrics of events: published, waiting in the outbox, deferred and set aside."""

from functools import cache
from typing import Final

from recording_schemas import EVENT_TYPES
from worker.observability.later_updates import LaterUpdates
from worker.observability.metric_factory import DELAY_BUCKETS, MetricFactory, known_or_other

_EVENT_NAMES: Final = frozenset(EVENT_TYPES.values())


class EventMetrics:
    """The part of `Metrics` that concerns published messages. Times are in seconds."""

    _later: LaterUpdates

    def _create_event_metrics(self, new: MetricFactory) -> None:
        self._published = cache(
            new.counter("events_published", "Messages that the broker confirmed.", "type").labels
        )
        self._publish_seconds = new.histogram(
            "event_publish_delay_seconds",
            "From an event's commit to the broker's confirmation.",
            DELAY_BUCKETS,
        )
        self._outbox_events = new.gauge(
            "outbox_events", "Events that are committed but not yet published."
        )
        self._outbox_age = new.gauge(
            "outbox_oldest_age_seconds", "How long the oldest unpublished event has waited."
        )
        self._deferred = new.counter(
            "events_deferred", "Failed publications that are retried later.", "reason"
        )
        self._set_aside = new.counter(
            "events_set_aside", "Events that the worker gave up publishing, by reason.", "reason"
        )
        self._replies_refused = new.counter(
            "replies_refused",
            "Replies that were not sent because their queue is not allowed, by reason.",
            "reason",
        )
        self._outbox_deferred = new.gauge(
            "outbox_deferred_events", "Events that wait after a failed publication."
        )
        self._outbox_set_aside = new.gauge(
            "outbox_set_aside_events", "Events that are set aside until an operator decides."
        )
        for reason in ("refused", "channel_lost"):
            self._deferred.labels(reason)
        for reason in ("channel_lost", "unsendable"):
            self._set_aside.labels(reason)
        for reason in ("pattern", "own_queue", "slow_pattern"):
            self._replies_refused.labels(reason)

    def record_event_published(self, event_type: str, delay: float) -> None:
        """Record an event that the broker confirmed `delay` seconds after its commit."""
        self._later.add(self._published(known_or_other(event_type, _EVENT_NAMES)).inc)
        self._later.add(self._publish_seconds.observe, max(delay, 0.0))

    def set_outbox(
        self, events: int, oldest_age: float, *, deferred: int = 0, set_aside: int = 0
    ) -> None:
        """Set how many events wait to be published, and the age of the oldest; 0 if none waits.

        `deferred` of them wait because the broker did not take them. `set_aside` are not included.
        """
        self._outbox_events.set(events)
        self._outbox_age.set(oldest_age)
        self._outbox_deferred.set(deferred)
        self._outbox_set_aside.set(set_aside)

    def record_event_deferred(self, reason: str) -> None:
        """Count a publication that failed. `reason` is `refused` or `channel_lost`."""
        self._deferred.labels(reason).inc()

    def record_event_set_aside(self, reason: str) -> None:
        """Count an event that is not tried again. `reason` is `channel_lost` or `unsendable`."""
        self._set_aside.labels(reason).inc()

    def record_reply_refused(self, reason: str) -> None:
        """Count a reply that is not sent. `reason` is one of a `ReplyPolicy`."""
        self._replies_refused.labels(reason).inc()
