"""Traces by OpenTelemetry, exported over OTLP/HTTP by a thread of the SDK's own.

Spans wait in a queue of bounded length; what does not fit is dropped. So a collector that is away
or slow costs spans, never commands. No span tells an exception's text: it might hold a secret.
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
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from worker.observability.tracing import Facts, Headers, Kind, Span, Tracing

CLOSE_SECONDS: Final = 3.0
KINDS: Final[Mapping[Kind, SpanKind]] = {
    "consumer": SpanKind.CONSUMER,
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
}
_W3C: Final = TraceContextTextMapPropagator()


class OtlpTracing(Tracing):
    """Tells the collector at `endpoint`, a whole URL.

    `headers` are as in OTEL_EXPORTER_OTLP_HEADERS. The SDK reads what else the OTEL_ variables say
    of the resource, the sampler, the batches and TLS; `service_name` counts where they give none.
    Raises ValueError for what it cannot read there.
    """

    on = True

    def __init__(
        self, endpoint: str, *, headers: str | None, service_name: str, version: str, instance: str
    ) -> None:
        about = {"service.version": version, "service.instance.id": instance}
        resource = Resource.create(about)
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": service_name}))
        exporter = OTLPSpanExporter(
            endpoint=endpoint,
            headers=None if headers is None else parse_env_headers(headers, liberal=True),
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("recording-worker", version)

    def span(self, name: str, kind: Kind, *, parent: Headers, facts: Facts) -> Span:
        """As promised by Tracing."""
        above = _W3C.extract(parent, context=Context())
        span = self._tracer.start_span(name, above, KINDS[kind], dict(facts))
        return _Exported(span, parent, current=True)

    def child_span(self, name: str) -> Span:
        """As promised by Tracing."""
        return _Exported(self._tracer.start_span(name), {}, current=True)

    def publish_span(self, headers: Headers, *, destination: str, facts: Facts) -> Span:
        """As promised by Tracing."""
        above = _W3C.extract(headers, context=Context())
        name = f"publish {destination}"
        span = self._tracer.start_span(name, above, SpanKind.PRODUCER, dict(facts))
        return _Exported(span, headers)

    def record_request(
        self, name: str, *, seconds: float, failure: str | None, facts: Facts
    ) -> None:
        """As promised by Tracing."""
        began = time.time_ns() - int(seconds * 1e9)
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=dict(facts), start_time=began
        )
        _Exported(span, {}).end(failure)

    async def aclose(self) -> None:
        """As promised by Tracing. The SDK's own way waits for a slow collector for minutes."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)


class _Exported(Span):
    """A span; `parent` are the headers that it came with, whose baggage goes on as it is."""

    def __init__(self, span: trace.Span, parent: Headers, *, current: bool = False) -> None:
        here = trace.set_span_in_context(span)
        own: dict[str, str] = {}
        _W3C.inject(own, here)
        baggage = {"baggage": parent["baggage"]} if "baggage" in parent else {}
        super().__init__(baggage | own)
        self._span = span
        self._here = here if current else None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        if self._here is not None:
            self._token = contexts.attach(self._here)
        return self

    def set_attributes(self, facts: Facts) -> None:
        """As promised by Span."""
        self._span.set_attributes(dict(facts))

    def set_error(self, code: str) -> None:
        """As promised by Span."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(StatusCode.ERROR)

    def end(self, failure: str | None = None) -> None:
        """As promised by Span."""
        if failure is not None:
            self.set_error(failure)
        self._span.end()
        if self._token is not None:
            contexts.detach(self._token)
            self._token = None
