"""Traces by OpenTelemetry, which a thread of its SDK exports over OTLP/HTTP.

Spans wait in a queue of limited length, and spans that do not fit are dropped. So a collector that
is down or slow costs spans, never commands. No span has an exception's text, because the text could
contain a secret.
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from contextvars import Token
from typing import Final, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from worker.observability.tracing import Attributes, Span, SpanKind, TraceHeaders, Tracing

SERVICE_NAME: Final = "recording-worker"
CLOSE_TIMEOUT_SECONDS: Final = 3.0
_OTEL_KINDS: Final[Mapping[SpanKind, trace.SpanKind]] = {
    "consumer": trace.SpanKind.CONSUMER,
    "server": trace.SpanKind.SERVER,
    "internal": trace.SpanKind.INTERNAL,
}
_W3C: Final = TraceContextTextMapPropagator()


class OtlpTracing(Tracing):
    """Exports spans to the collector at `endpoint`, a complete URL.

    `headers` has the syntax of OTEL_EXPORTER_OTLP_HEADERS. The SDK reads the other OTEL_ variables
    itself: resource, sampler, batches, TLS. SERVICE_NAME is used if they name no service.
    Raises ValueError if a variable has a value that the SDK cannot parse.
    """

    is_enabled = True

    def __init__(self, endpoint: str, *, headers: str | None, version: str, instance: str) -> None:
        identity = {"service.version": version, "service.instance.id": instance}
        resource = Resource.create(identity)
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
        exporter = OTLPSpanExporter(
            endpoint=endpoint,
            headers=None if headers is None else parse_env_headers(headers, liberal=True),
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE_NAME, version)

    def span(
        self, name: str, kind: SpanKind, *, parent: TraceHeaders, attributes: Attributes
    ) -> Span:
        """See `Tracing.span`."""
        context = _W3C.extract(parent, context=Context())
        span = self._tracer.start_span(name, context, _OTEL_KINDS[kind], dict(attributes))
        return _OtlpSpan(span, parent, is_current=True)

    def child_span(self, name: str) -> Span:
        """See `Tracing.child_span`."""
        return _OtlpSpan(self._tracer.start_span(name), {}, is_current=True)

    def publish_span(
        self, headers: TraceHeaders, *, destination: str, attributes: Attributes
    ) -> Span:
        """See `Tracing.publish_span`."""
        context = _W3C.extract(headers, context=Context())
        name = f"publish {destination}"
        span = self._tracer.start_span(name, context, trace.SpanKind.PRODUCER, dict(attributes))
        return _OtlpSpan(span, headers)

    def record_request(
        self, name: str, *, seconds: float, failure: str | None, attributes: Attributes
    ) -> None:
        """See `Tracing.record_request`."""
        started_at = time.time_ns() - int(seconds * 1e9)
        span = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes=dict(attributes), start_time=started_at
        )
        _OtlpSpan(span, {}).end(failure)

    async def aclose(self) -> None:
        """See `Tracing.aclose`. The SDK's own shutdown waits minutes for a slow collector."""
        shutdown = threading.Thread(target=self._provider.shutdown, daemon=True)
        shutdown.start()
        await asyncio.to_thread(shutdown.join, CLOSE_TIMEOUT_SECONDS)


class _OtlpSpan(Span):
    """A span of the SDK. The baggage among the `parent` headers is passed on unchanged."""

    def __init__(self, span: trace.Span, parent: TraceHeaders, *, is_current: bool = False) -> None:
        context = trace.set_span_in_context(span)
        headers: dict[str, str] = {}
        _W3C.inject(headers, context)
        baggage = {"baggage": parent["baggage"]} if "baggage" in parent else {}
        super().__init__(baggage | headers)
        self._span = span
        self._context = context if is_current else None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        if self._context is not None:
            self._token = contexts.attach(self._context)
        return self

    def set_attributes(self, attributes: Attributes) -> None:
        """See `Span.set_attributes`."""
        self._span.set_attributes(dict(attributes))

    def set_error(self, code: str) -> None:
        """See `Span.set_error`."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(trace.StatusCode.ERROR)

    def end(self, failure: str | None = None) -> None:
        """See `Span.end`."""
        if failure is not None:
            self.set_error(failure)
        self._span.end()
        if self._token is not None:
            contexts.detach(self._token)
            self._token = None
