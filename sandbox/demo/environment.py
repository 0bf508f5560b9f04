"""Everything the demo runs on: the emulated API, the worker process, and ears for its events."""

import math
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aio_pika
import msgspec

from recording_schemas import CloudEvent, Completed, FileReady, StatusChanged, outcome_of
from sandbox.api.options import SandboxOptions
from sandbox.api.server import Sandbox
from sandbox.demo.messages import EXCHANGES, Messages
from sandbox.demo.timeline import Timeline
from sandbox.demo.worker_process import WorkerProcess
from sandbox.model.log_entries import LogEntry, RequestEntry
from sandbox.model.request_log import RequestLog
from sandbox.services.processes import LaunchError, OwnedDirectory
from sandbox.services.rabbitmq import RabbitMQNode

RETRY_SECONDS: Final = (1, 5, 30)
SWEEP_SECONDS: Final = 0.25


class DemoEnvironment(msgspec.Struct, frozen=True):
    """What the story is played on. `prefix` is what names on the broker begin with."""

    sandbox: Sandbox
    worker: WorkerProcess
    messages: Messages
    node: RabbitMQNode
    prefix: str


@asynccontextmanager
async def start_environment(
    node: RabbitMQNode, speed: float, timeline: Timeline
) -> AsyncIterator[DemoEnvironment]:
    """The stage, until the block ends; whatever happens, nothing of it is left then.

    Raises:
        LaunchError: when the worker does not come up, or does not end cleanly afterwards.
    """
    # On somebody else's broker under names of its own, which go at the end.
    prefix = f"demo-{secrets.token_hex(4)}" if node.external else "recording"
    async with AsyncExitStack() as stack:
        directory = OwnedDirectory("recording-demo-")
        stack.callback(directory.remove)
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(speed=speed)))
        timeline.say("setup", f"the emulated API is at {sandbox.base_url}, {speed:g} times as fast")
        worker = WorkerProcess(_settings(node, sandbox, prefix), directory.path)
        if node.external:
            stack.push_async_callback(_remove_names, node.amqp_url, prefix)
        await worker.start()
        stack.push_async_callback(_stop, worker, timeline)
        await worker.ready()
        timeline.say("setup", f"the worker is ready, process {worker.pid}, probes at {worker.url}")
        messages = Messages(node.amqp_url, prefix, lambda event: _tell_event(event, timeline))
        yield DemoEnvironment(
            sandbox, worker, await stack.enter_async_context(messages), node, prefix
        )


def _settings(node: RabbitMQNode, sandbox: Sandbox, prefix: str) -> dict[str, str]:
    return {
        "AMQP_URL": node.amqp_url,
        "DATABASE_URL": "sqlite:///state.db",
        "LOG_FORMAT": "json",
        "REALTIMEKIT_ACCOUNT_ID": "demo-account",
        "REALTIMEKIT_APP_ID": "demo-app",
        "REALTIMEKIT_API_TOKEN": secrets.token_hex(16),
        "REALTIMEKIT_BASE_URL": sandbox.base_url,
        "REALTIMEKIT_WEBHOOK_KEY_URL": sandbox.webhook_key_url,
        "WORKER_NAME_PREFIX": prefix,
        "WORKER_RETRY_DELAYS_SECONDS": ",".join(map(str, RETRY_SECONDS)),
        "WORKER_SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS),
    }


async def _stop(worker: WorkerProcess, timeline: Timeline) -> None:
    code = await worker.stop()
    timeline.say("setup", f"the worker has ended with exit code {code}")
    if code:
        raise LaunchError(f"the worker ended with {code}:\n{worker.log_tail()}")


async def follow_requests(request_log: RequestLog, timeline: Timeline) -> None:
    """Tell each request that the API gets; of the sweep's many alike only the first."""
    told, swept = 0, False

    def has_news(request_log: RequestLog) -> bool:
        return request_log.total > told

    while True:
        await request_log.until(has_news, within=math.inf)
        news, told = request_log.entries(since=told), request_log.total
        for request in _requests(news):
            if request.operation != "list_recordings":
                _tell_request(request, timeline)
            elif not swept:
                _tell_request(request, timeline, f", and again every {SWEEP_SECONDS:g} s")
                swept = True


def _requests(entries: Iterable[LogEntry]) -> list[RequestEntry]:
    return [entry for entry in entries if isinstance(entry, RequestEntry)]


def _tell_request(request: RequestEntry, timeline: Timeline, more: str = "") -> None:
    asked = " ".join(filter(None, (request.method, request.operation, request.detail)))
    facts = {"operation": request.operation, "status": request.status}
    timeline.say("request", f"{asked} → {request.status}{more}", **facts)


def _tell_event(event: CloudEvent, timeline: Timeline) -> None:
    facts = {"event_id": event.id, "type": event.type, "subject": event.subject}
    match event.data:
        case StatusChanged() as data:
            was = f" (was {data.previous_status})" if data.previous_status else ""
            timeline.say("status", f"{data.status}{was}, seen by {data.observed_by}", **facts)
        case FileReady() as data:
            which = f"{data.file_index} of {data.file_count}"
            whose = data.custom_participant_id or data.user_id or "?"
            timeline.say("file", f"{which}, of {whose}: {data.file_name}", **facts)
        case Completed() as data:
            timeline.say("done", f"{data.status} with {data.file_count} files", **facts)
        case data:
            timeline.say("outcome", f"{data.command_type} {outcome_of(data)}", **facts)


async def _remove_names(amqp_url: str, prefix: str) -> None:
    """Delete what the worker declared on a broker that is not ours."""
    queues = ("commands", "commands.dead", *(f"commands.retry.{step}s" for step in RETRY_SECONDS))
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        for name in queues:
            await channel.queue_delete(f"{prefix}.{name}")
        for name in ("commands", "dead-letter", *EXCHANGES):
            await channel.exchange_delete(f"{prefix}.{name}")
