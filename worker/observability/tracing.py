"""Traces: one leads from the publisher's command to the subscriber's track file.

What belongs to a trace travels as W3C headers: they come with a command, are stored with its
recording, and go out with its events. Nothing here imports OpenTelemetry unless traces are asked
for; then `worker.observability.otlp` does.
"""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Self

Headers = Mapping[str, str]
Facts = Mapping[str, str | int | float | bool]
Kind = Literal["consumer", "server", "internal"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class Span:
    """A piece of work under way: `with` it. `headers` are what to hand on to what it causes."""

    def __init__(self, headers: Headers) -> None:
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

    def set_attributes(self, facts: Facts) -> None:
        """Add what has become known."""

    def set_error(self, code: str) -> None:
        """It did not come to a good end; `code` is a slug, never a text that might tell more."""

    def end(self, failure: str | None = None) -> None:
        """It is over. Once is enough."""


class Tracing:
    """Tells nobody: headers are handed on as they came."""

    on: bool = False

    def span(self, name: str, kind: Kind, *, parent: Headers, facts: Facts) -> Span:
        """Begin a piece of work that others caused, or nobody; it is current while it lasts."""
        del name, kind, facts
        return Span(parent)

    def child_span(self, name: str) -> Span:
        """Begin a part of what is current."""
        del name
        return _NOTHING

    def publish_span(self, headers: Headers, *, destination: str, facts: Facts) -> Span:
        """Begin to send a message that carries these headers; it is to carry the span's."""
        del destination, facts
        return Span(headers)

    def record_request(
        self, name: str, *, seconds: float, failure: str | None, facts: Facts
    ) -> None:
        """A request that took so long has just ended; it was a part of what is current."""

    async def aclose(self) -> None:
        """Let go of what has not been told, after a few seconds."""


def trace_id_of(headers: Headers) -> str | None:
    """The trace that headers belong to, for log lines."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return found[1] if found else None


_NOTHING: Final = Span({})
OFF: Final = Tracing()
