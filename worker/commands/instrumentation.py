"""Metrics, one log line and one span for each attempt at a command."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog

from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.broker.tracing_attributes import process_attributes
from worker.commands.completion import HandledCommand
from worker.commands.waiting_commands import WaitingCommands
from worker.domain import outcomes
from worker.observability.metrics import Metrics
from worker.observability.tracing import Span, Tracing, trace_id_of

SPAN_FIELDS: Final = ("command_id", "command_type", "outcome", "code")
"""The fields of the log line that are also attributes of the span."""


class CommandInstrumentation:
    """Observes the attempts at commands from `queue`. `now` is in seconds since the epoch."""

    def __init__(
        self, metrics: Metrics, tracing: Tracing, *, queue: str, now: Callable[[], float]
    ) -> None:
        self.metrics = metrics
        self.tracing = tracing
        self.now = now
        self.waiting = WaitingCommands()
        self._queue = queue
        self._span_name = f"process {queue}"

    def attempt(self, delivery: Delivery) -> "ObservedAttempt":
        """Begin to observe an attempt: use it in a `with` statement."""
        span = self.tracing.span(self._span_name, "consumer", parent=delivery.trace, attributes={})
        if self.tracing.is_enabled:
            span.set_attributes(process_attributes(delivery, self._queue))
        return ObservedAttempt(self, delivery, span)


class ObservedAttempt:
    """One attempt under observation: `identify` when it is decoded, `complete` at its end.

    Within `with`, `delivery` carries the trace of the attempt's own span.
    """

    def __init__(
        self, instrumentation: CommandInstrumentation, delivery: Delivery, span: Span
    ) -> None:
        self._metrics = instrumentation.metrics
        self._tracing = instrumentation.tracing
        self._now = instrumentation.now
        self._waiting = instrumentation.waiting
        self._started = time.perf_counter()
        self._span = span
        self.delivery = delivery
        self.command_id: str | None = None
        self.command_type = "unknown"

    def __enter__(self) -> Self:
        self._span.__enter__()
        if self._span.headers != self.delivery.trace:
            self.delivery = self.delivery.with_trace(self._span.headers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._span.__exit__(kind, error, trace)

    def identify(self, command_id: str | None, command_type: str) -> None:
        """Count the decoded delivery. If it is the first one, record how long it was queued."""
        self.command_id, self.command_type = command_id, command_type
        self._metrics.record_command_received(command_type)
        delivery = self.delivery
        is_first = delivery.first_seen is None and not delivery.redelivered
        if is_first and delivery.sent_at is not None:
            self._metrics.record_queue_delay(command_type, self._now() - delivery.sent_at)

    def complete(self, handled: HandledCommand) -> None:
        """Count the attempt, write its log line, and add its result to the span."""
        settlement = handled.settlement
        seconds = time.perf_counter() - self._started
        fields = {
            "command_id": self.command_id,
            "command_type": self.command_type,
            **handled.log_fields,
        }
        self._count(settlement, fields["outcome"], seconds)
        logger = structlog.get_logger()
        log = logger.info
        if fields.get("id_conflict") and self.delivery.attempts == 0:
            self._metrics.record_id_conflict(self.command_type)
            log = logger.warning
        elif not self._is_new(settlement):
            # A waiting command is delivered again and again.
            log = logger.debug
        log(
            "command",
            settlement=_name(settlement),
            seconds=round(seconds, 6),
            redelivered=self.delivery.redelivered,
            trace_id=trace_id_of(self.delivery.trace),
            **fields,
        )
        if self._tracing.is_enabled:
            known = {f"recording_worker.{name}": fields.get(name) for name in SPAN_FIELDS}
            self._span.set_attributes({name: str(value) for name, value in known.items() if value})
        if not isinstance(settlement, Ack):
            self._span.set_error(settlement.code)

    def _is_new(self, settlement: Settlement) -> bool:
        if isinstance(settlement, Retry):
            return self._waiting.is_new_reason(self.command_id, settlement.code)
        self._waiting.ended(self.command_id)
        return True

    def _count(self, settlement: Settlement, outcome: object, seconds: float) -> None:
        result = str(outcome or _name(settlement))
        self._metrics.record_command_completed(self.command_type, result, seconds)
        if isinstance(settlement, Dead):
            self._metrics.record_dead_letter(settlement.code)
        if result in outcomes.FINAL:
            now, delivery = self._now(), self.delivery
            since = delivery.sent_at or delivery.first_seen or now - seconds
            self._metrics.record_outcome_delay(self.command_type, now - since)


def _name(settlement: Settlement) -> str:
    return type(settlement).__name__.lower()
