"""A collector of traces: takes OTLP over HTTP and keeps every span."""

from contextlib import AsyncExitStack
from typing import Self

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class CollectedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One span as it arrived."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    facts: dict[str, str | int]

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"


class TraceCollector:
    """`async with Collector() as collector`: listens at `url`."""

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        self.resources: list[dict[str, str | int]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self._exit_stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post("/v1/traces", self._take)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._exit_stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._exit_stack.aclose()

    def named(self, name: str) -> list[CollectedSpan]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        export = ExportTraceServiceRequest.FromString(body)
        for resource in export.resource_spans:
            self.resources.append(_facts(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += map(_span, scope.spans)
        return web.Response(content_type="application/x-protobuf")


def _span(span: WireSpan) -> CollectedSpan:
    return CollectedSpan(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        facts=_facts(span.attributes),
    )


def _facts(attributes: object) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for attribute in attributes:  # type: ignore[attr-defined]  # a repeated field
        value = attribute.value
        found[attribute.key] = (
            value.int_value if value.HasField("int_value") else value.string_value
        )
    return found
