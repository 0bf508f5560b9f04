"""What is told of each delivery: metrics, one line in the log, one span."""

from collections.abc import Callable
from typing import Final

import structlog

from worker.broker.messages import Ack, Dead, Delivery, Settlement
from worker.broker.tracing_attributes import process_attributes
from worker.commands.completion import HandledCommand
from worker.domain import outcomes
from worker.observability.metrics import Metrics
from worker.observability.tracing import Span, Tracing, trace_id_of

IN_TRACES: Final = ("command_id", "command_type", "outcome", "code")
"""What a span tells of the log line's facts."""


class CommandInstrumentation:
    """Tells of deliveries from `queue`; `now` is in seconds since the epoch."""

    def __init__(
        self, metrics: Metrics, tracing: Tracing, *, queue: str, now: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._queue = queue
        self._now = now

    def start_span(self, delivery: Delivery) -> Span:
        """The span of one attempt; what the delivery leads to carries its headers."""
        facts = process_attributes(delivery, self._queue) if self._tracing.is_enabled else {}
        name = f"process {self._queue}"
        return self._tracing.span(name, "consumer", parent=delivery.trace, attributes=facts)

    def received(self, delivery: Delivery, command_type: str) -> None:
        """It is known what the delivery wants."""
        self._metrics.record_command_received(command_type)
        is_first = delivery.first_seen is None and not delivery.redelivered
        if is_first and delivery.sent_at is not None:
            self._metrics.record_queue_delay(command_type, self._now() - delivery.sent_at)

    def completed(
        self,
        delivery: Delivery,
        handled: HandledCommand,
        span: Span,
        *,
        command_id: str | None,
        command_type: str,
        seconds: float,
    ) -> None:
        """It is over, after so many seconds."""
        settlement = handled.settlement
        facts = {"command_id": command_id, "command_type": command_type, **handled.facts}
        self._count(delivery, settlement, command_type, facts["outcome"], seconds)
        structlog.get_logger().info(
            "command",
            settlement=_name(settlement),
            seconds=round(seconds, 6),
            redelivered=delivery.redelivered,
            trace_id=trace_id_of(delivery.trace),
            **facts,
        )
        if self._tracing.is_enabled:
            told = {f"recording_worker.{name}": facts.get(name) for name in IN_TRACES}
            span.set_attributes({name: str(value) for name, value in told.items() if value})
        if not isinstance(settlement, Ack):
            span.set_error(settlement.code)

    def _count(
        self,
        delivery: Delivery,
        settlement: Settlement,
        command_type: str,
        ended: object,
        seconds: float,
    ) -> None:
        outcome = str(ended or _name(settlement))
        self._metrics.record_command_completed(command_type, outcome, seconds)
        if isinstance(settlement, Dead):
            self._metrics.record_dead_letter(settlement.code)
        if outcome in outcomes.FINAL:
            now = self._now()
            since = delivery.sent_at or delivery.first_seen or now - seconds
            self._metrics.record_outcome_delay(command_type, now - since)


def _name(settlement: Settlement) -> str:
    return type(settlement).__name__.lower()
