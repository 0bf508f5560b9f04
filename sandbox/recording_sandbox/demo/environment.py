"""Everything the demo needs: the emulated API, the worker process, and a client of the worker."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.archive import archive_settings, can_archive
from recording_sandbox.demo.broker_check import require_broker
from recording_sandbox.demo.narration import narrate_event
from recording_sandbox.demo.timeline import Timeline
from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.demo.worker_settings import delete_names, worker_settings
from recording_sandbox.services.processes import LaunchError, OwnedDirectory
from recording_sandbox.services.rabbitmq import RabbitMQNode


class DemoEnvironment(msgspec.Struct, frozen=True):
    """The running parts of the demo."""

    sandbox: Sandbox
    worker: WorkerProcess
    client: WorkerClient

    @property
    def archives(self) -> bool:
        """Whether the worker archives files."""
        return "WORKER_ARCHIVE_URL" in self.worker.settings


@asynccontextmanager
async def start_environment(
    node: RabbitMQNode, speed: float, timeline: Timeline
) -> AsyncIterator[DemoEnvironment]:
    """Start all parts. At the end of the block they are stopped and removed in any case.

    Raises:
        LaunchError: if the broker takes no connection, or the worker does not start, or does not
            end cleanly afterwards.
    """
    # An external broker is shared: use a separate prefix, and delete its queues at the end.
    prefix = f"demo-{secrets.token_hex(4)}" if node.external else "recording"
    if node.external:
        await require_broker(node.amqp_url)
    async with AsyncExitStack() as stack:
        directory = OwnedDirectory("recording-demo-")
        stack.callback(directory.remove)
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(speed=speed)))
        timeline.add("setup", f"the emulated API is at {sandbox.base_url}, at {speed:g}x speed")
        settings = worker_settings(node.amqp_url, sandbox.environment, prefix)
        if can_archive():
            settings |= archive_settings(directory.path / "archive")
        worker = WorkerProcess(settings, directory.path)
        if node.external:
            stack.push_async_callback(delete_names, node.amqp_url, prefix)
        await worker.start()
        stack.push_async_callback(_stop, worker, timeline)
        await worker.ready()
        timeline.add("setup", f"the worker is ready: process {worker.pid}, HTTP at {worker.url}")
        client = WorkerClient(node.amqp_url, prefix, lambda event: narrate_event(event, timeline))
        yield DemoEnvironment(sandbox, worker, await stack.enter_async_context(client))


async def _stop(worker: WorkerProcess, timeline: Timeline) -> None:
    code = await worker.stop()
    timeline.add("setup", f"the worker has ended with exit code {code}")
    if code:
        raise LaunchError(f"the worker ended with {code}:\n{worker.log_tail()}")
