"""The log of a recording's life: one line for each piece of work, and no credential."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import Completed, FileReady, Status, StatusChanged
from tests.e2e.worker_environment import API_TOKEN, WorkerEnvironment, open_worker_environment
from worker.observability.log_redaction import redact_text


def lines(environment: WorkerEnvironment, event: str) -> list[dict[str, Any]]:
    """The log lines of this event."""
    lines_logged = (json.loads(line) for line in environment.worker.log.read_text().splitlines())
    return [line for line in lines_logged if line["event"] == event]


async def test_each_command_sweep_webhook_and_batch_is_one_log_line_without_a_credential(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    (port,) = free_ports(1)
    more: dict[str, Any] = {"HTTP_PORT": str(port), "LOG_LEVEL": "debug"}
    more["WORKER_PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, **more
    ) as environment:
        await eventually(lambda: environment.requests("add_webhook"))
        await environment.start()
        await environment.event(StatusChanged, status=Status.RECORDING)
        await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
        completed = await environment.event(Completed)
        await eventually(lambda: bool(lines(environment, "webhook_answered")))
        assert await environment.worker.stop() == 0

        final = [line for line in lines(environment, "command") if line["outcome"] is not None]
        assert Counter(line["command_id"] for line in final) == {"start-1": 1, "stop-1": 1}
        assert {line["outcome"] for line in final} == {"succeeded"}
        assert completed.subject in {
            line.get("recording_id") for line in lines(environment, "webhook_answered")
        }
        assert completed.subject in {
            line["recording_id"] for line in lines(environment, "recording_read")
        }
        sweeps = lines(environment, "sweep_completed")
        assert {line["app"] for line in sweeps} == {"default"}
        assert any(line["requests"] for line in sweeps)
        published = sum(line["published"] for line in lines(environment, "outbox_relayed"))
        assert published == len(environment.messages.events)

        log = environment.worker.log.read_text()
        files = [
            event.data for event in environment.messages.events if isinstance(event.data, FileReady)
        ]
        signatures = [urlsplit(file.download_url or "").query for file in files]
        assert len(signatures) == 3
        assert all(signature and signature not in log for signature in signatures)
        assert API_TOKEN not in log


def test_the_signature_of_a_presigned_url_is_not_logged() -> None:
    url = "https://files.example.com/a.webm?X-Amz-Signature=0123456789abcdef&X-Amz-Date=1"
    assert redact_text(f"cannot read {url} now") == (
        "cannot read https://files.example.com/a.webm?… now"
    )


async def test_otel_variables_of_a_cluster_never_stop_the_start_and_each_has_one_warning(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    cluster: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "sesame",
        "OTEL_TRACES_EXPORTER": "zipkin",
        "OTEL_TRACES_SAMPLER": "often",
        "OTEL_RESOURCE_ATTRIBUTES": "oops",
    }
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, **cluster
    ) as environment:
        await environment.start("start-1")
        await environment.outcome("start-1")
        named = [line["variable"] for line in lines(environment, "otel_variable_unusable")]
        assert sorted(named) == sorted({*cluster} - {"OTEL_EXPORTER_OTLP_ENDPOINT"})
        assert "sesame" not in environment.worker.log.read_text()
