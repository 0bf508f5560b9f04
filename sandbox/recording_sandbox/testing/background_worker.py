"""A recording-worker for tests of any style, as a separate process."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.demo.worker_settings import delete_names, worker_settings
from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.testing.background_loop import BackgroundLoop
from recording_sandbox.testing.background_sandbox import BackgroundSandbox


class BackgroundWorker:
    """A worker process. Its methods block, and may be called from any thread."""

    def __init__(self, loop: BackgroundLoop, process: WorkerProcess) -> None:
        self._loop = loop
        self._process = process

    @property
    def settings(self) -> Mapping[str, str]:
        """Its environment variables; with them `recording-worker send` and `tail` reach it."""
        return self._process.settings

    @property
    def amqp_url(self) -> str:
        """The broker that it takes commands from."""
        return self.settings["AMQP_URL"]

    @property
    def name_prefix(self) -> str:
        """The prefix of its exchanges and queues: `<prefix>.commands` and so on."""
        return self.settings["WORKER_NAME_PREFIX"]

    @property
    def url(self) -> str:
        """Its HTTP address, for `/readyz` and `/metrics`."""
        return self._process.url

    @property
    def log(self) -> Path:
        """The file that it logs to, in JSON lines."""
        return self._process.log

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.running

    def start(self) -> None:
        """Start it, and return when it is ready. May be called again after its end."""
        self._loop.run(self._start())

    def stop(self) -> int:
        """End it as Kubernetes does. Returns the exit code."""
        return self._loop.run(self._process.stop())

    def kill(self) -> None:
        """Kill it as a crash does. `start` continues with the same state."""
        self._loop.run(self._process.kill())

    async def _start(self) -> None:
        await self._process.start()
        await self._process.ready()


@contextmanager
def start_worker(
    node: RabbitMQNode, sandbox: BackgroundSandbox, directory: Path, settings: Mapping[str, str]
) -> Iterator[BackgroundWorker]:
    """Start a worker. At the end it is stopped, and its names are deleted from a shared broker.

    Raises:
        LaunchError: if it does not start, or ends with an error when it is stopped.
    """
    prefix = f"test-{secrets.token_hex(4)}"
    chosen = {**worker_settings(node.amqp_url, sandbox.environment, prefix), **settings}
    process = WorkerProcess(chosen, directory)
    worker = BackgroundWorker(sandbox.loop, process)
    try:
        worker.start()
        yield worker
    finally:
        code = worker.stop() if worker.running else 0
        if node.external:
            sandbox.loop.run(delete_names(node.amqp_url, chosen["WORKER_NAME_PREFIX"]))
    if code:
        raise LaunchError(f"the worker ended with {code}:\n{process.log_tail()}")
