"""One trace leads from a publisher's command to a subscriber's track file.

A real worker process exports to a collector, and a subscriber receives the messages.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aio_pika
from opentelemetry import semconv

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandRejected, CommandSucceeded, Completed, FileReady
from tests.e2e.worker_environment import API_TOKEN, WorkerEnvironment, open_worker_environment
from tests.integration.observability.trace_collector import CollectedSpan, TraceCollector
from tests.loopback_server import LoopbackServer

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PUBLISHER: Final = "b7ad6b7169203331"
CARRIED: Final = {
    "traceparent": f"00-{TRACE}-{PUBLISHER}-01",
    "tracestate": "vendor=opaque",
    "baggage": "tenant=blue",
}
QUICK: Final = {"OTEL_BSP_SCHEDULE_DELAY": "200"}


class Subscriber:
    """Records the messages and headers that a subscriber receives."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.messages.append({"type": message.type, "headers": dict(message.headers)})

    def traceparents(self, event_type: str) -> list[str]:
        published = [message for message in self.messages if message["type"] == event_type]
        return [str(message["headers"].get("traceparent")) for message in published]


@asynccontextmanager
async def listening(amqp_url: str, prefix: str) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber()
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for name in ("status", "files", "results"):
            await queue.bind(f"{prefix}.{name}", "#")
        await queue.consume(subscriber.take, no_ack=True)
        yield subscriber


async def publish(amqp_url: str, prefix: str, headers: dict[str, Any], **fields: Any) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{prefix}.commands")
        message = aio_pika.Message(json.dumps(fields).encode(), headers=headers)
        await exchange.publish(message, fields["type"])


def start(environment: WorkerEnvironment) -> dict[str, Any]:
    return {
        "type": "start_track_recording",
        "id": "start-1",
        "meeting_id": environment.meeting_id,
    }


async def test_one_trace_leads_from_the_command_to_the_track_file_across_a_restart(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url, prefix = rabbitmq.amqp_url, names_prefix
    more: dict[str, Any] = dict(QUICK)
    async with TraceCollector() as collector:
        more["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        async with (
            open_worker_environment(url, prefix, tmp_path, **more) as environment,
            listening(url, prefix) as subscriber,
        ):
            await publish(url, prefix, CARRIED, **start(environment))
            await environment.outcome("start-1")
            await environment.worker.stop()
            await environment.worker.start()
            await environment.worker.ready()
            await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
            await environment.event(Completed)
            files = [
                event for event in environment.messages.events if isinstance(event.data, FileReady)
            ]
            await eventually(
                lambda: len(subscriber.traceparents("recording.file_ready.v1")) == len(files)
            )
            traceparents = subscriber.traceparents("recording.file_ready.v1")
            await eventually(lambda: exported(collector, traceparents))
        spans = {span.span_id: span for span in collector.spans}
        assert len(traceparents) == len(files) > 0
        for traceparent in traceparents:
            path = way_up(spans, traceparent)
            names = [span.name for span in path]
            assert names == [f"publish {prefix}.files", f"process {prefix}.commands"]
            assert path[-1].parent_id == PUBLISHER
        assert {
            message["headers"]["baggage"]
            for message in subscriber.messages
            if of_the_start(message)
        } == {"tenant=blue"}


def exported(collector: TraceCollector, traceparents: list[str]) -> bool:
    known = {span.traceparent for span in collector.spans}
    return bool(traceparents) and set(traceparents) <= known


def of_the_start(messages: dict[str, Any]) -> bool:
    return TRACE in str(messages["headers"].get("traceparent"))


def way_up(spans: dict[str, CollectedSpan], traceparent: str) -> list[CollectedSpan]:
    """From the span in a message up to the topmost span of the worker."""
    _, trace, span_id, _ = traceparent.split("-")
    path = []
    while span_id in spans:
        path.append(spans[span_id])
        assert path[-1].trace_id == trace == TRACE
        span_id = path[-1].parent_id
    return path


async def test_the_spans_of_a_command_show_claim_request_and_commit(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url, prefix = rabbitmq.amqp_url, names_prefix
    async with TraceCollector() as collector:
        more: dict[str, Any] = {**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with open_worker_environment(url, prefix, tmp_path, **more) as environment:
            await publish(url, prefix, CARRIED, **start(environment))
            await environment.outcome("start-1")
            await eventually(lambda: bool(collector.named(f"publish {prefix}.results")))
            await eventually(lambda: bool(collector.named(f"process {prefix}.commands")))
        (process,) = collector.named(f"process {prefix}.commands")
        below = [span for span in collector.spans if span.parent_id == process.span_id]
        assert {"claim", "commit", "POST /recordings/track"} <= {span.name for span in below}
        assert (process.kind, process.trace_id, process.failed) == ("consumer", TRACE, False)
        assert process.facts["messaging.system"] == "rabbitmq"
        assert process.facts["messaging.operation.type"] == "process"
        assert process.facts["recording_worker.command_id"] == "start-1"
        assert process.facts["recording_worker.outcome"] == "succeeded"
        (asked,) = collector.named("POST /recordings/track")
        assert asked.kind == "client"
        assert asked.facts["http.request.method"] == "POST"
        assert asked.facts["url.template"] == "/recordings/track"
        assert asked.facts["server.address"] == "127.0.0.1"
        assert asked.facts["http.response.status_code"] == 200
        (sent,) = collector.named(f"publish {prefix}.results")
        destination = f"{prefix}.results:start_track_recording.succeeded"
        assert sent.kind == "producer"
        assert sent.facts["messaging.destination.name"] == destination
        assert collector.resources[0]["service.name"] == "recording-worker"
        assert not any(API_TOKEN.encode() in body for body in collector.bodies)
        assert named_freely(collector.spans) == set()


def named_freely(spans: list[CollectedSpan]) -> set[str]:
    """Attributes that are neither in the current conventions nor our own."""
    files = Path(next(iter(semconv.__path__))).glob("**/attributes/*.py")
    text = "".join(path.read_text() for path in files)
    known = set(re.findall(r'^\w+: Final = "([\w.]+)"\n(?!"""\nDeprecated)', text, re.MULTILINE))
    used = {name for span in spans for name in span.facts}
    assert used & known
    return {
        attribute for attribute in used - known if not attribute.startswith("recording_worker.")
    }


async def test_a_rejected_command_has_an_error_in_its_trace(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url, prefix = rabbitmq.amqp_url, names_prefix
    async with TraceCollector() as collector:
        more: dict[str, Any] = {**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        more["OTEL_EXPORTER_OTLP_HEADERS"] = "x-key=for-the-collector"
        async with open_worker_environment(url, prefix, tmp_path, **more) as environment:
            wrong = {"type": "stop_recording", "id": "stop-1", "recording_id": str(uuid.uuid4())}
            await publish(url, prefix, {}, **wrong)
            assert isinstance((await environment.outcome("stop-1")).data, CommandRejected)
            await eventually(lambda: bool(collector.named(f"process {prefix}.commands")))
        (process,) = collector.named(f"process {prefix}.commands")
        assert process.facts["recording_worker.outcome"] == "rejected"
        refused = [span for span in collector.spans if span.kind == "client" and span.failed]
        assert {span.facts["error.type"] for span in refused} == {"404"}
        assert collector.headers[0]["x-key"] == "for-the-collector"
        assert "for-the-collector" not in environment.worker.log_tail(100_000)


async def test_a_collector_that_never_answers_delays_nothing(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    more: dict[str, Any] = {
        **QUICK,
        "OTEL_BSP_MAX_QUEUE_SIZE": "8",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    }
    async with LoopbackServer(say_nothing) as silent:
        more["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{silent.port}"
        async with open_worker_environment(
            rabbitmq.amqp_url, names_prefix, tmp_path, **more
        ) as environment:
            for number in range(20):
                await environment.send(
                    **start(environment)
                    | {"id": f"start-{number}", "meeting_id": str(uuid.uuid4())}
                )
            for number in range(20):
                assert isinstance(
                    (await environment.outcome(f"start-{number}")).data, CommandSucceeded
                )
            assert await environment.worker.stop(seconds=15) == 0


async def test_without_a_collector_the_trace_headers_are_passed_on_unchanged(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url, prefix = rabbitmq.amqp_url, names_prefix
    async with (
        open_worker_environment(url, prefix, tmp_path) as environment,
        listening(url, prefix) as subscriber,
    ):
        await publish(url, prefix, CARRIED, **start(environment))
        await eventually(lambda: bool(subscriber.traceparents("command.succeeded.v1")))
        assert all(message["headers"] == CARRIED for message in subscriber.messages)
