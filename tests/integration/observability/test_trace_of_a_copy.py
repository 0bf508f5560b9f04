"""The trace of a start command continues through the copies of its files in the archive."""

from pathlib import Path

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import Archived
from tests.e2e.test_archive import archiving
from tests.integration.observability.test_trace_propagation import (
    CARRIED,
    QUICK,
    TRACE,
    listening,
    publish,
    start,
    way_up,
)
from tests.integration.observability.trace_collector import TraceCollector


async def test_each_attempt_to_copy_a_file_is_a_span_in_the_trace_of_the_start(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url, prefix = rabbitmq.amqp_url, names_prefix
    async with TraceCollector() as collector:
        more = {**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with (
            archiving(url, prefix, tmp_path, **more) as environment,
            listening(url, prefix) as subscriber,
        ):
            environment.sandbox.faults.add(Fault(kind="download_refuse", status=503, count=1))
            await publish(url, prefix, CARRIED, **start(environment))
            await environment.outcome("start-1")
            await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
            archived = (await environment.event(Archived)).data
            assert isinstance(archived, Archived)
            attempts = archived.file_count + 1
            await eventually(lambda: len(collector.named("archive file")) == attempts)
            await eventually(lambda: len(subscriber.traceparents("recording.archived.v1")) == 1)
    spans = {span.span_id: span for span in collector.spans}
    for span in collector.named("archive file"):
        path = way_up(spans, span.traceparent)
        assert [span.name for span in path] == ["archive file", f"process {prefix}.commands"]
        assert span.facts["recording_worker.recording_id"] == archived.recording_id
    failed = [span.facts for span in collector.named("archive file") if span.failed]
    assert [facts["error.type"] for facts in failed] == ["source_unavailable"]
    for kind in ("file_archived", "archived"):
        assert all(
            TRACE in traceparent for traceparent in subscriber.traceparents(f"recording.{kind}.v1")
        )
