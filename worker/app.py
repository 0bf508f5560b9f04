"""Builds the worker from its settings, runs its loops, and stops them in order."""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from worker.aio import wait_until_set
from worker.bootstrap import Bootstrap, open_tracing
from worker.broker.aiormq.versions import check_versions
from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.domain.errors import StoreUnavailable
from worker.observability.http_server import Check, HttpServer
from worker.observability.liveness import STUCK_SECONDS, Watchdog
from worker.observability.metrics import Metrics
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.relay import OutboxRelay
from worker.realtimekit.apps import App, Apps
from worker.settings.settings import Settings
from worker.store.leader import LeaderElector
from worker.store.pruner import Pruner, Retention
from worker.store.queries import Staleness
from worker.store.store import Store
from worker.tracking.webhook_endpoint import unavailable_routes
from worker.tracking.webhook_registration import keep_registered

VERSION: Final = version("recording-worker")
LEADER_LEASE_SECONDS: Final = 15.0
GAUGES_SECONDS: Final = 5.0
AWAIT_SECONDS: Final = 2.0
"""Between two looks for a database that is not there."""


class Worker:
    """One worker process: `run` it once.

    `now` is the clock, seconds since the epoch. `http_port` is known once it listens.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._owner = str(uuid.uuid4())
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry, version=VERSION)
        self._awaited: str | None = None
        self.http_port: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what runs within the grace time and return.

        Raises what it cannot start or go on with: StoreUnavailable for an SQLite file, OSError when
        the port is taken, TopologyDiffers; inside an ExceptionGroup when it happens later.
        UntestedLibrary when an AMQP library is not of a version that the worker was tested with.
        """
        check_versions()
        settings = self._settings
        async with AsyncExitStack() as rooms:
            store = await self._open_store(stop)
            if store is None:
                return
            rooms.push_async_callback(store.close)
            self._now = store.now  # one clock for all replicas
            tracing = open_tracing(settings, version=VERSION, instance=self._owner)
            rooms.push_async_callback(tracing.aclose)
            assembly = Bootstrap(settings, store, self._metrics, tracing, rooms)
            await _tell_who_is_left_behind(store, assembly.apps)
            await self._connect(rooms, store, assembly, stop)
        structlog.get_logger().info("stopped")

    async def _open_store(self, stop: asyncio.Event) -> Store | None:
        """The store; None when `stop` was set before there was one.

        A database server that is away is waited for, with probes that say so: to end and begin
        again would not bring it back. A file is there or never will be.
        """
        try:
            return await self._opened_store()
        except StoreUnavailable as error:
            if self._settings.database_url.reveal().startswith("sqlite"):
                raise
            self._awaited = str(error)
        http = HttpServer(
            self._settings.http_host,
            self._settings.http_port,
            checks_live={},
            checks_ready={"store": lambda: self._awaited},
            registry=self._registry,
            extra_routes=unavailable_routes(self._metrics, lambda: self._awaited),
        )
        port = await http.start()
        try:
            while not stop.is_set():
                structlog.get_logger().warning(
                    "store_awaited", reason=self._awaited, http_port=port
                )
                await wait_until_set(stop, AWAIT_SECONDS)
                try:
                    return await self._opened_store()
                except StoreUnavailable as error:
                    self._awaited = str(error)
        finally:
            await http.stop()
        return None

    async def _opened_store(self) -> Store:
        settings = self._settings
        return await Store.open(
            settings.database_url.reveal(),
            source=settings.source,
            now=self._now,
            ticks=time.monotonic,
        )

    async def _connect(
        self, rooms: AsyncExitStack, store: Store, assembly: Bootstrap, stop: asyncio.Event
    ) -> None:
        """Build what talks to the broker and to people, and run it all."""
        settings, apps = self._settings, assembly.apps
        topology = Topology(prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds)
        publishing = BrokerConnection(settings.amqp_url.reveal, "publish")
        consuming = BrokerConnection(settings.amqp_url.reveal, "consume")
        publisher = Publisher(
            publishing,
            topology,
            timeout=settings.publish_timeout_seconds,
            may_declare=settings.topology == "declare",
        )
        leadership = LeaderElector(
            store,
            owner=self._owner,
            lease_seconds=min(LEADER_LEASE_SECONDS, settings.lease_seconds),
            now=self._now,
        )
        events = EventPublisher(
            publisher,
            topology,
            metrics=self._metrics,
            tracing=assembly.tracing,
            now=self._now,
        )
        relay = OutboxRelay(store, events, now=self._now)
        store.subscribe("outbox", relay.wake)
        store.subscribe("lease", leadership.wake)
        housekeeping = Pruner(
            store,
            Retention(
                sent_seconds=settings.keep_sent_seconds,
                finished_seconds=settings.keep_finished_seconds,
            ),
            now=self._now,
        )
        consumer = Consumer(
            consuming,
            topology,
            publisher,
            assembly.path(relay, owner=self._owner).handle,
            prefetch=settings.prefetch,
            now=self._now,
        )
        checks: dict[str, Check] = {
            "publishing": lambda: publishing.unavailable_reason,
            "consuming": lambda: consuming.unavailable_reason,
            "store": lambda: store.commit_error,
        }
        # A turn of the relay may be a few confirmations that do not come.
        pulses = Watchdog(seconds=max(STUCK_SECONDS, 3 * settings.publish_timeout_seconds))
        relaying = pulses.watched("relay", leadership.is_leader)
        pruning = pulses.watched("housekeeping", leadership.is_leader)
        self._metrics.watch_checks(checks | _checks_of(apps))
        http = HttpServer(
            settings.http_host,
            settings.http_port,
            checks_live=pulses.checks(),
            checks_ready=checks,
            checks_any=_checks_of(apps),
            registry=self._registry,
            extra_routes=assembly.webhooks().routes(),
        )
        apps.on_change(lambda: consumer.take_one_at_a_time(apps.all_circuits_open()))
        self._metrics.watch_replica(
            in_flight=lambda: consumer.in_flight, leads=leadership.is_leader
        )
        self.http_port = await http.start()
        rooms.push_async_callback(http.stop)
        rooms.push_async_callback(leadership.release)
        async with asyncio.TaskGroup() as loops:
            background = [
                loops.create_task(publishing.run(publisher.session), name="publishing"),
                loops.create_task(leadership.run(), name="leadership"),
                loops.create_task(relay.run(relaying), name="relay"),
                loops.create_task(store.listen(), name="news"),
                loops.create_task(housekeeping.run(pruning), name="housekeeping"),
                loops.create_task(self._tell_gauges(store), name="gauges"),
                *(
                    loops.create_task(budget.run(), name=f"budget/{account_id}")
                    for account_id, budget in assembly.budgets.items()
                ),
                *(
                    loops.create_task(
                        self._follow(assembly, app, relay, leadership.is_leader),
                        name=f"follow/{app.name}",
                    )
                    for app in apps
                ),
                *(
                    loops.create_task(
                        keep_registered(app.api, url, app=app.name, is_leader=leadership.is_leader),
                        name=f"registration/{app.name}",
                    )
                    for app, url in assembly.callbacks()
                ),
            ]
            taking = loops.create_task(consumer.run(), name="consuming")
            structlog.get_logger().info("started", http_port=self.http_port, owner=self._owner)
            await stop.wait()
            apps.stop_waiting()
            await self._finish(consumer, taking, relay, leadership)
            for task in background:
                task.cancel()

    async def _finish(
        self,
        consumer: Consumer,
        taking: asyncio.Task[None],
        relay: OutboxRelay,
        leadership: LeaderElector,
    ) -> None:
        """Take no more, settle what runs, publish what is committed; in the time there is."""
        structlog.get_logger().info("stopping", seconds=self._settings.shutdown_seconds)
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                await consumer.drain()
                await asyncio.wait([taking])
                if leadership.is_leader():
                    await relay.flush()
        except TimeoutError:
            # What runs still is delivered again, and what is committed is published later.
            structlog.get_logger().warning("stopped_before_all_was_done")
            taking.cancel()

    async def _tell_gauges(self, store: Store) -> None:
        while True:
            try:
                events, oldest = await store.outbox_depth()
                self._metrics.set_outbox(events, 0.0 if oldest is None else self._now() - oldest)
                self._metrics.set_recordings(await store.count_by_status())
                self._tell_oldest(await store.staleness())
            except StoreUnavailable:
                pass  # readiness says so
            await asyncio.sleep(GAUGES_SECONDS)

    def _tell_oldest(self, oldest: Staleness) -> None:
        now = self._now()
        unchanged = {status: now - since for status, since in oldest.unchanged_since.items()}
        overdue = 0.0 if oldest.due_since is None else now - oldest.due_since
        self._metrics.set_oldest(unchanged, overdue)

    async def _follow(
        self, assembly: Bootstrap, app: App, relay: OutboxRelay, leads: Callable[[], bool]
    ) -> None:
        sweep, reader = assembly.following(app, relay.wake)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(sweep.run(leads), name=f"sweep/{app.name}")
            loops.create_task(reader.run(leads), name=f"read/{app.name}")


async def _tell_who_is_left_behind(store: Store, apps: Apps) -> None:
    """Recordings of an app that is configured no more are kept, and followed by nobody."""
    for name, count in (await store.count_by_app()).items():
        if name not in apps:
            structlog.get_logger().warning("recordings_of_no_app", app=name, recordings=count)


def _checks_of(apps: Apps) -> dict[str, Check]:
    """One for each app, by its name where there are several."""

    def check_of(app: App) -> Check:
        return lambda: app.api.trouble

    return {"api" if len(apps) == 1 else f"api/{app.name}": check_of(app) for app in apps}
