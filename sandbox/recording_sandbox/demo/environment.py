"""Everything the demo needs: the emulated API, the worker process, and a client of the worker."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aio_pika
import msgspec

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.narration import narrate_event
from recording_sandbox.demo.timeline import Timeline
from recording_sandbox.demo.worker_client import EXCHANGES, WorkerClient
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.processes import LaunchError, OwnedDirectory
from recording_sandbox.services.rabbitmq import RabbitMQNode

RETRY_DELAYS_SECONDS: Final = (1, 5, 30)
SWEEP_INTERVAL_SECONDS: Final = 0.25


class DemoEnvironment(msgspec.Struct, frozen=True):
    """The running parts of the demo."""

    sandbox: Sandbox
    worker: WorkerProcess
    client: WorkerClient


@asynccontextmanager
async def start_environment(
    node: RabbitMQNode, speed: float, timeline: Timeline
) -> AsyncIterator[DemoEnvironment]:
    """Start all parts. At the end of the block they are stopped and removed in any case.

    Raises:
        LaunchError: if the worker does not start, or does not end cleanly afterwards.
    """
    # An external broker is shared: use names of our own, and delete them at the end.
    prefix = f"demo-{secrets.token_hex(4)}" if node.external else "recording"
    async with AsyncExitStack() as stack:
        directory = OwnedDirectory("recording-demo-")
        stack.callback(directory.remove)
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(speed=speed)))
        timeline.add("setup", f"the emulated API is at {sandbox.base_url}, at {speed:g}x speed")
        worker = WorkerProcess(_worker_settings(node, sandbox, prefix), directory.path)
        if node.external:
            stack.push_async_callback(_delete_names, node.amqp_url, prefix)
        await worker.start()
        stack.push_async_callback(_stop, worker, timeline)
        await worker.ready()
        timeline.add("setup", f"the worker is ready: process {worker.pid}, HTTP at {worker.url}")
        client = WorkerClient(node.amqp_url, prefix, lambda event: narrate_event(event, timeline))
        yield DemoEnvironment(sandbox, worker, await stack.enter_async_context(client))


def _worker_settings(node: RabbitMQNode, sandbox: Sandbox, prefix: str) -> dict[str, str]:
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
        "WORKER_RETRY_DELAYS_SECONDS": ",".join(map(str, RETRY_DELAYS_SECONDS)),
        "WORKER_SWEEP_INTERVAL_SECONDS": str(SWEEP_INTERVAL_SECONDS),
    }


async def _stop(worker: WorkerProcess, timeline: Timeline) -> None:
    code = await worker.stop()
    timeline.add("setup", f"the worker has ended with exit code {code}")
    if code:
        raise LaunchError(f"the worker ended with {code}:\n{worker.log_tail()}")


async def _delete_names(amqp_url: str, prefix: str) -> None:
    """Delete the queues and exchanges that the worker declared on an external broker."""
    retry_queues = (f"commands.retry.{delay}s" for delay in RETRY_DELAYS_SECONDS)
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        for name in ("commands", "commands.dead", "commands.unanswered", *retry_queues):
            await channel.queue_delete(f"{prefix}.{name}")
        for name in ("commands", "dead-letter", *EXCHANGES):
            await channel.exchange_delete(f"{prefix}.{name}")
