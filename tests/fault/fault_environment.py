"""The environment of a fault test, behind proxies: broker, emulated API, database, subscriber."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from yarl import URL

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.log_entries import RequestEntry
from tests.fault.killable_worker import KillableWorker
from tests.fault.recorder import Recorder
from tests.fault.reliability_report import ReliabilityReport, report_on
from tests.fault.run_record import RunRecord, run_record_of
from tests.fault.sender import Sender
from tests.fault.tcp_proxy import TcpProxy
from tests.forked_process import FORK_SERVER, ForkServer
from worker.broker.topology import Topology

RETRY_DELAYS: Final = (0.2, 0.5, 1.0)
FAST_SETTINGS: Final = {
    "WORKER_RETRY_DELAYS_SECONDS": ",".join(f"{delay:g}" for delay in RETRY_DELAYS),
    # test_budget_fleet.py tests the budget under load. Here the budget would end the load.
    "WORKER_API_BUDGET": "1000000/300",
    "WORKER_API_TIMEOUT_SECONDS": "1",
    "WORKER_API_RETRY_SECONDS": "3",
    # Longer than the slowest effect that a fault may have: a late start takes 2 s.
    "WORKER_RECONCILE_SECONDS": "4",
    "WORKER_SWEEP_INTERVAL_SECONDS": "0.3",
    "WORKER_AUDIT_INTERVAL_SECONDS": "2",
    "WORKER_LEASE_SECONDS": "8",
    "WORKER_FILES_WAIT_SECONDS": "5",
    "WORKER_PUBLISH_TIMEOUT_SECONDS": "5",
    "WORKER_SHUTDOWN_SECONDS": "10",
    "WORKER_COMMAND_MAX_AGE_SECONDS": "86400",
    "WORKER_STOP_WAIT_SECONDS": "3600",
    "WORKER_INVOKED_TIMEOUT_SECONDS": "3600",
}
"""The worker's settings with shorter time-outs, and unchanged guarantees."""

BEHAVIOUR: Final = Behaviour(invoked_seconds=0.2, uploading_seconds=0.2)


class FaultEnvironment:
    """One broker, one API, one database and any number of workers; see `open_fault_environment`.

    Clocks run at normal speed (only lifecycle steps are short), because the worker compares the
    API's times with its own.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        settings: Mapping[str, str],
        directory: Path,
        *,
        forks: ForkServer | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.settings = dict(settings)
        self.directory = directory
        self._forks = forks
        self.workers: list[KillableWorker] = []
        self.foreign: set[str] = set()
        self.may_breach = False
        """Whether the workers cannot know the API's limit before they exceed it."""
        self.api: TcpProxy
        self.amqp: TcpProxy
        self.database: TcpProxy | None = None
        self.webhooks: TcpProxy | None = None
        self.recorder: Recorder
        self.sender: Sender

    def worker(self, *, within: Sequence[str] = (), **settings: str) -> KillableWorker:
        """Add a worker, not started yet. It is killed when the environment closes.

        `within` is a command that runs it, if needed.
        """
        log = self.directory / f"worker-{len(self.workers)}.log"
        settings = {**self.settings, **settings}
        worker = KillableWorker(settings, log, forks=self._forks, within=within)
        self.workers.append(worker)
        return worker

    async def ready_worker(self) -> KillableWorker:
        """Add a worker, and return it when it is ready."""
        worker = self.worker()
        worker.start()
        await worker.ready()
        return worker

    @asynccontextmanager
    async def webhooks_to(self, workers: Sequence[KillableWorker]) -> AsyncIterator[None]:
        """Workers started from now on receive the API's webhooks on these ports, through a link."""
        async with TcpProxy(*(worker.port for worker in workers)) as self.webhooks:
            for worker in workers:
                worker.settings["WORKER_PUBLIC_URL"] = f"http://127.0.0.1:{self.webhooks.port}"
            yield

    async def stop_all(self) -> None:
        """Send SIGTERM to every worker: each finishes its current work and publishes the
        results."""
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in self.workers))

    def kill_all(self) -> None:
        """End every worker at once."""
        for worker in self.workers:
            worker.kill()

    @property
    def facts(self) -> RunRecord:
        """The facts so far."""
        return run_record_of(
            self.sender.sent,
            self.recorder.received,
            self.sandbox.request_log,
            foreign=self.foreign,
            may_breach=self.may_breach,
            archives="WORKER_ARCHIVE_URL" in self.settings,
        )

    async def settled(self, *, seconds: float = 60.0) -> ReliabilityReport:
        """Wait until nothing is lost any more, stop the workers, and return the report.

        After `seconds`, losses that remain are reported.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = time.monotonic()
            if not report_on(self.facts).missing:
                break
            # The proxies share this loop: a long report must not block them.
            await asyncio.sleep(0.02 + 4 * (time.monotonic() - began))
        await self.stop_all()
        return report_on(self.facts)

    @property
    def links(self) -> tuple[TcpProxy, ...]:
        """Every link between workers and dependencies, and from the API to the workers."""
        links = (self.api, self.amqp, self.database, self.webhooks)
        return tuple(link for link in links if link is not None)

    def count_without_outcome(self) -> int:
        """The number of commands that have no outcome yet."""
        sent = {message.command_id for message in self.sender.sent}
        return len(sent - self.recorder.outcomes.keys())

    def start_requests(self) -> list[RequestEntry]:
        """The requests to start a track recording."""
        requests = self.sandbox.request_log.requests
        return [request for request in requests if request.operation == "start_track_recording"]

    def live_recordings(self) -> Iterator[str]:
        """Recordings of our starts that have not been stopped."""
        last = {
            transition.recording_id: transition.status
            for transition in self.sandbox.request_log.transitions
        }
        for recording_id, status in last.items():
            if status in {"INVOKED", "RECORDING", "PAUSED"} and recording_id not in self.foreign:
                yield recording_id


@asynccontextmanager
async def open_fault_environment(
    amqp_url: str,
    database_url: str,
    directory: Path,
    *,
    prefix: str,
    seed: int | None = None,
    clock: Clock | None = None,
    forks: ForkServer | None = FORK_SERVER,
    **settings: str,
) -> AsyncIterator[FaultEnvironment]:
    """Open the environment.

    Workers reach the broker through `environment.amqp`, the API through `environment.api`, and
    PostgreSQL through `environment.database` (None with SQLite). Without `forks`, each worker
    begins as a new interpreter.
    """
    topology = Topology(prefix=prefix, retry_delays=RETRY_DELAYS)
    async with AsyncExitStack() as stack:
        options = SandboxOptions(seed=seed, behaviour=msgspec.structs.replace(BEHAVIOUR))
        sandbox = await stack.enter_async_context(Sandbox(options, clock=clock))
        api = await stack.enter_async_context(proxy_to(sandbox.root_url))
        amqp = await stack.enter_async_context(proxy_to(amqp_url))
        database = None
        if not database_url.startswith("sqlite:"):
            database = await stack.enter_async_context(proxy_to(database_url))
        environ: dict[str, Any] = {
            **FAST_SETTINGS,
            "AMQP_URL": through(amqp, amqp_url),
            "DATABASE_URL": through(database, database_url) if database else database_url,
            "REALTIMEKIT_ACCOUNT_ID": "account",
            "REALTIMEKIT_APP_ID": "app",
            "REALTIMEKIT_API_TOKEN": "token",
            "REALTIMEKIT_BASE_URL": through(api, sandbox.base_url),
            "REALTIMEKIT_WEBHOOK_KEY_URL": through(api, sandbox.webhook_key_url),
            "WORKER_NAME_PREFIX": prefix,
            "LOG_FORMAT": "json",
            **settings,
        }
        environment = FaultEnvironment(sandbox, environ, directory, forks=forks)
        environment.api, environment.amqp, environment.database = api, amqp, database
        environment.recorder = Recorder(amqp_url, topology)
        stack.push_async_callback(environment.recorder.aclose)
        await environment.recorder.start()
        environment.sender = Sender(
            amqp_url, topology.exchange("commands"), reply_to=environment.recorder.queue
        )
        stack.push_async_callback(environment.sender.aclose)
        stack.callback(environment.kill_all)
        yield environment


def proxy_to(url: str) -> TcpProxy:
    """A proxy, not open yet, to the host and port of this URL."""
    target = URL(url)
    port = target.port or _PORTS[target.scheme]
    return TcpProxy(port, host=target.host or "127.0.0.1")


def through(link: TcpProxy, url: str) -> str:
    """The same URL, through the link."""
    return str(URL(url).with_host("127.0.0.1").with_port(link.port))


_PORTS: Final = {"amqp": 5672, "http": 80, "postgresql": 5432}
