"""The path of commands in one process: real store and emulated API, a model of the queue.

The sandbox's clock stands still until a test advances it, so the test defines the interleaving. The
queue keeps a message until it is acknowledged or dead. It delivers it again when its delay is over,
or when its replica has died.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.run_record import ReceivedMessage
from tests.integration.command_bench import delivery_of
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import ApiError
from worker.domain.timeouts import Timeouts
from worker.domain.times import utc
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.outbox_marks import PageMarks
from worker.store.queries import RecordingsFilter
from worker.store.store import Store
from worker.tracking.refresher import Refresher
from worker.tracking.shown_files import ShownFiles
from worker.tracking.sweep import Sweep
from worker.tracking.sweep_interval import SweepInterval

START_OF_TIME: Final = 1_790_000_000.0
RETRY_POLICY: Final = RetryPolicy(
    max_age=1e6,
    stop_wait=1e5,
    reconcile=30,
    lease=60,
    retry_delays=(5.0, 30.0),
)
TIMEOUTS: Final = Timeouts(
    files_settle=10.0,
    files_wait=60.0,
    files_late=3600.0,
    invoked_timeout=1e6,
    uploading_timeout=1e6,
    recording_timeout=1e6,
    vanished_after=60.0,
)
START_OPERATIONS: Final = {
    "start_track_recording": "track",
    "start_recording": "composite",
}


class QueuedMessage:
    """One message in the queue: not delivered, or delivered and not settled."""

    def __init__(self, delivery: Delivery, due: float) -> None:
        self.delivery = delivery
        self.due = due
        self.in_delivery = False


class SimulatedReplica:
    """One worker process without its broker: a handler and a sweep, with a clock that may be
    wrong."""

    def __init__(
        self, world: "Simulation", store: Store, now: Callable[[], float], name: str
    ) -> None:
        self.store = store
        self.now = now
        ticks = itertools.count()
        # Every pause of the circuit breaker is over at the next request: these tests are not about
        # its length.
        outage = CircuitBreaker(lambda: next(ticks) * 1000.0)
        metrics = Metrics(CollectorRegistry(), version="test")
        self.path = CommandHandler(
            store,
            Apps([App(name="default", api=world.api, breaker=outage)]),
            RETRY_POLICY,
            owner=name,
            source="test",
            now=now,
            max_command_bytes=100_000,
            metrics=metrics,
        )
        shown_files = ShownFiles()
        self.sweep = Sweep(
            store,
            world.api,
            TIMEOUTS,
            SweepInterval(base=10, audit=120, rate=2),
            app="default",
            shown_files=shown_files,
            breaker=outage,
            metrics=metrics,
            now=lambda: utc(now()),
        )
        self.reader = Refresher(
            store,
            world.api,
            TIMEOUTS,
            app="default",
            breaker=outage,
            now=lambda: utc(now()),
            sweep_state=self.sweep.state,
            request_sweep=self.sweep.request,
            shown_files=shown_files,
        )


class Simulation:
    """Meetings, an API, a queue, and the events published so far (`published`)."""

    def __init__(self, sandbox: Sandbox, api: RealtimeKitClient) -> None:
        self.sandbox = sandbox
        self.api = api
        self.queue: list[QueuedMessage] = []
        self.published: list[ReceivedMessage] = []
        self.dead: list[tuple[Delivery, Dead]] = []
        self._names = itertools.count(1)

    @property
    def now(self) -> float:
        """The true time."""
        return self.sandbox.clock.now()

    def replica(self, store: Store, now: Callable[[], float] | None = None) -> SimulatedReplica:
        """Add a worker. As after a restart, it has no state besides the store's."""
        return SimulatedReplica(
            self, store, now or self.sandbox.clock.now, f"worker-{next(self._names)}"
        )

    def send(self, command: Mapping[str, Any], **properties: Any) -> None:
        """Put a command into the queue."""
        body = msgspec.json.encode(command)
        self.queue.append(
            QueuedMessage(Delivery(body=body, routing_key="x", **properties), self.now)
        )

    def ready(self) -> list[QueuedMessage]:
        """The messages that the broker would deliver now."""
        return [
            message for message in self.queue if not message.in_delivery and message.due <= self.now
        ]

    async def deliver(
        self, message: QueuedMessage, to: SimulatedReplica, *, ack_is_lost: bool = False
    ) -> None:
        """Deliver a message, and settle it as the replica decides, unless the settlement is
        lost."""
        message.in_delivery = True
        try:
            settlement = await to.path.handle(message.delivery)
        finally:
            message.in_delivery = False
        if not ack_is_lost:
            self._settle(message, settlement)

    def _settle(self, message: QueuedMessage, settlement: Settlement) -> None:
        match settlement:
            case Retry():
                message.due = self.now + settlement.delay_seconds
            case Ack():
                self.queue.remove(message)
            case Dead():
                self.queue.remove(message)
                self.dead.append((message.delivery, settlement))

    async def crash(
        self, message: QueuedMessage, replica: SimulatedReplica, operation: str
    ) -> None:
        """Kill the replica after the API has executed this operation and before the answer arrives.

        If the command does not use the operation, it ends as usual.
        """
        fault = self.sandbox.faults.add(Fault(kind="lost_hang", operation=operation, count=1))
        delivering = asyncio.create_task(self.deliver(message, replica))
        triggered = asyncio.create_task(self._wait_for_fault(fault))
        await asyncio.wait([delivering, triggered], return_when=asyncio.FIRST_COMPLETED)
        for task in (delivering, triggered):
            task.cancel()
        await asyncio.wait([delivering, triggered])
        self.sandbox.faults.clear(fault)
        if not delivering.cancelled():
            await delivering

    async def _wait_for_fault(self, fault: str) -> None:
        def has() -> bool:
            return any(
                active.id == fault and active.triggered for active in self.sandbox.faults.active()
            )

        await eventually(has, seconds=30)

    async def sweep_and_read(self, replica: SimulatedReplica) -> None:
        """One sweep and the reads that are due; API errors are ignored."""
        with suppress(ApiError):
            await replica.sweep.sweep()
        await replica.reader.read_due()

    async def relay(self, store: Store) -> None:
        """Publish committed events, and queue the parked commands that are due."""
        while waiting := await store.unsent(500):
            self.published += [
                ReceivedMessage(
                    exchange="" if event.exchange == "reply" else event.exchange,
                    routing_key=event.routing_key,
                    message_id=event.event_id,
                    body=event.body,
                )
                for event in waiting
            ]
            await store.mark_page(PageMarks(sent=[event.position for event in waiting]), self.now)
        due = await store.due_commands(self.now)
        for command in due:
            self.queue.append(QueuedMessage(delivery_of(command, self.now), self.now))
        await store.remove_published([command.position for command in due])

    async def drain(self, replicas: Iterable[SimulatedReplica], *, rounds: int = 60) -> None:
        """Without further faults: every command ends, then every recording is stopped and
        reported."""
        self.sandbox.faults.clear()
        self.sandbox.behaviour.change({"list_lag_seconds": 0.0})
        taking = itertools.cycle(replicas)
        for _ in range(rounds):
            replica = next(taking)
            for message in self.ready():
                await self.deliver(message, replica)
            await self.sweep_and_read(replica)
            await self.relay(replica.store)
            following = [
                recording
                for recording in await replica.store.recordings(RecordingsFilter(limit=10_000))
                if recording.is_open
            ]
            if not (self.queue or following or await replica.store.count_parked()):
                return
            self.sandbox.clock.advance(10.0)
            if not self.queue:
                self.stop_all()
        left = [message.delivery.body for message in self.queue]
        raise AssertionError(f"after {rounds} rounds there are left {left} and {following}")

    def stop_all(self) -> None:
        """Another program stops all running recordings at the API."""
        recordings = self.sandbox.recordings
        for recording in recordings.index.all():
            if recording.status in {"RECORDING", "PAUSED"}:
                recordings.stop(recording)


@asynccontextmanager
async def open_simulation() -> AsyncIterator[Simulation]:
    """A simulation without replicas. Its API answers at once."""
    async with AsyncExitStack() as stack:
        clock = Clock(speed=0, start=START_OF_TIME)
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(seed=1), clock=clock))
        api = RealtimeKitClient(
            base_url=sandbox.base_url,
            account_id="account",
            app_id="app",
            token=lambda: "token",
            timeout=10.0,
            retry=RequestRetry(attempts=2, base_seconds=0.001, total_seconds=1.0),
        )
        stack.push_async_callback(api.aclose)
        yield Simulation(sandbox, api)
