"""The workers of a scenario, as processes that may be killed and started again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.process_usage import ProcessUsage, usage_of_session
from benchmarks.tracking.environment import APP, PREFIX, EmulatedApi
from benchmarks.tracking.results import Scenario
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.ports import free_ports

UNLIMITED: Final = {"WORKER_API_BUDGET": "100000/10"}
"""The settings of workers while the API has no limits."""


class Fleet:
    """Workers with the same settings. Each has a port and a directory."""

    def __init__(self, settings: Mapping[str, str], ports: Sequence[int], directory: Path) -> None:
        self._settings = settings
        self._ports = ports
        self._directory = directory
        self._running: list[WorkerProcess] = []
        self._rss = 0

    async def start(self, settings: Mapping[str, str]) -> float:
        """Start one worker after another; returns the most seconds until one was ready."""
        slowest, self._rss = 0.0, 0
        for number, port in enumerate(self._ports):
            home = self._directory / f"worker-{number}"
            home.mkdir(exist_ok=True)
            worker = WorkerProcess({**self._settings, **settings, "HTTP_PORT": str(port)}, home)
            begun = time.monotonic()
            await worker.start()
            self._running.append(worker)
            await worker.ready()
            slowest = max(slowest, time.monotonic() - begun)
        return slowest

    @property
    def webhook_settings(self) -> Mapping[str, str]:
        """The settings that direct webhooks to the last worker, which is not the leader."""
        return {"WORKER_PUBLIC_URL": f"http://127.0.0.1:{self._ports[-1]}"}

    def usage(self) -> ProcessUsage:
        """The CPU seconds of all workers, and the most memory of any, since they were started."""
        return ProcessUsage(
            sum(usage_of_session(worker.pid).cpu for worker in self._running), self._rss
        )

    async def watch(self) -> None:
        """Sample the workers' memory once a second."""
        while True:
            sizes = (usage_of_session(worker.pid).rss for worker in self._running)
            self._rss = max(self._rss, *sizes, 0)
            await asyncio.sleep(1.0)

    async def kill(self) -> None:
        """Kill all workers at once, like a failing machine."""
        for worker in self._running:
            worker.signal(signal.SIGKILL)
        for worker in self._running:
            await worker.ended()
        self._running.clear()

    async def stop(self) -> None:
        """Stop all workers, like Kubernetes."""
        for worker in reversed(self._running):
            await worker.stop()
        self._running.clear()


@asynccontextmanager
async def fleet(
    scenario: Scenario, api: EmulatedApi, amqp_url: str, database_url: str, directory: Path
) -> AsyncIterator[Fleet]:
    """The scenario's workers, not yet started."""
    settings = {
        "AMQP_URL": amqp_url,
        "DATABASE_URL": database_url,
        "LOG_LEVEL": "warning",
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_API_TOKEN": "secret",
        "REALTIMEKIT_APP_ID": APP,
        "REALTIMEKIT_BASE_URL": f"{api.url}/client/v4",
        "REALTIMEKIT_WEBHOOK_KEY_URL": f"{api.url}/.well-known/webhooks.json",
        "WORKER_FOLLOW_ALL": "on",
        "WORKER_NAME_PREFIX": PREFIX,
    }
    workers = Fleet(settings, free_ports(scenario.replicas), directory)
    watching = asyncio.create_task(workers.watch())
    try:
        yield workers
    finally:
        watching.cancel()
        await workers.stop()
