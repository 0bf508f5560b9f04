"""Traces: one trace leads from the publisher's command to the subscriber's track file.

A trace travels as W3C headers. They arrive with a command, are stored with its recording, and are
sent with its events. `worker.observability.otlp` imports OpenTelemetry, and the worker imports that
module only when a collector is configured.
"""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Self

TraceHeaders = Mapping[str, str]
Attributes = Mapping[str, str | int | float | bool]
SpanKind = Literal["consumer", "server", "internal"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class Span:
    """One piece of work, used in a `with` block.

    `headers` belong on every message and row that this work causes.
    """

    def __init__(self, headers: TraceHeaders) -> None:
        self.headers = headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(None if kind is None else kind.__name__)

    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes that became known during the work."""

    def set_error(self, code: str) -> None:
        """Mark the work as failed. `code` is a slug, never a text, which could hold a secret."""

    def end(self, failure: str | None = None) -> None:
        """End the span, once. `failure` is the code of the error that ended the work, or None."""


class Tracing:
    """Tracing without a collector: headers are passed on unchanged and nothing is recorded."""

    is_enabled: bool = False

    def span(
        self, name: str, kind: SpanKind, *, parent: TraceHeaders, attributes: Attributes
    ) -> Span:
        """Start a span below `parent`, or a new trace if `parent` is empty.

        The span is the current one while its `with` block runs.
        """
        del name, kind, attributes
        return Span(parent)

    def recording_span(self, name: str, recording_id: str, trace: TraceHeaders) -> Span:
        """Start the span of work on a recording, in the trace of the command that started it."""
        attributes = {"recording_worker.recording_id": recording_id}
        return self.span(name, "internal", parent=trace, attributes=attributes)

    def child_span(self, name: str) -> Span:
        """Start a span below the current one."""
        del name
        return _EMPTY_SPAN

    def publish_span(
        self, headers: TraceHeaders, *, destination: str, attributes: Attributes
    ) -> Span:
        """Start the span that sends a message. The message must carry the span's headers."""
        del destination, attributes
        return Span(headers)

    def record_request(
        self, name: str, *, seconds: float, failure: str | None, attributes: Attributes
    ) -> None:
        """Record a request below the current span. It ended just now and took `seconds`."""

    async def aclose(self) -> None:
        """Export the spans that wait, for a few seconds at most, and drop the rest."""


def trace_id_of(headers: TraceHeaders) -> str | None:
    """The id of the trace that the headers belong to, None if they name no trace."""
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return match[1] if match else None


_EMPTY_SPAN: Final = Span({})
NO_TRACING: Final = Tracing()
