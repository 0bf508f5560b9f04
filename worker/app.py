"""Builds the worker from its settings, runs its loops, and stops them in order."""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from importlib.metadata import version
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from worker.apps import App, Apps, open_app
from worker.broker import Consumer, Link, Publisher, Topology
from worker.budget import Budget
from worker.conclusions import Patience
from worker.consume import CommandPath
from worker.errors import StoreUnavailable
from worker.housekeeping import Housekeeping, Keep
from worker.http import Check, HttpServer
from worker.leadership import Leadership
from worker.ledger import Rate
from worker.limits import Limits
from worker.outcomes import utc
from worker.pace import Pace
from worker.reader import Reader
from worker.realtimekit import Priority, WebhookKey
from worker.registration import callback_url, keep_registered
from worker.relay import Relay
from worker.retry import Retry
from worker.settings import AppSettings, Settings
from worker.store import Store
from worker.strangers import Strangers
from worker.sweep import Sweep
from worker.telemetry import Metrics
from worker.webhook import Webhooks

LEADER_LEASE_SECONDS: Final = 15.0
GAUGES_SECONDS: Final = 5.0
BUDGET_PATIENCE_SECONDS: Final = 5.0
SHARE_OF_LEASE: Final = 1 / 12
"""A command may have to wait for its budget several times within its lease."""
SHARE_OF_SWEEPS: Final = 0.5
"""Of an app's requests; reads of single recordings and commands need the others."""
WEBHOOK_KEY_SECONDS: Final = 2.5
"""Who sends a webhook waits three seconds for the answer, which may need the key first."""


class Worker:
    """One worker process: `run` it once.

    `now` is the clock, seconds since the epoch. `http_port` is known once it listens.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._owner = str(uuid.uuid4())
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry, version=version("recording-worker"))
        self._budgets: dict[str, Budget] = {}
        self.http_port: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what runs within the grace time and return.

        Raises what it cannot start or go on with: StoreUnavailable, TopologyDiffers, OSError when
        the port is taken; inside an ExceptionGroup when it happens later.
        """
        settings = self._settings
        async with AsyncExitStack() as rooms:
            store = await Store.open(
                settings.database_url.reveal(),
                source=settings.source,
                now=self._now,
                ticks=time.monotonic,
            )
            rooms.push_async_callback(store.close)
            self._now = store.now  # one clock for all replicas
            self._budgets = self._open_budgets(store)
            apps = Apps(self._open(one) for one in settings.apps)
            for app in apps:
                rooms.push_async_callback(app.api.aclose)
            await _tell_who_is_left_behind(store, apps)
            await self._connect(rooms, store, apps, stop)
        structlog.get_logger().info("stopped")

    async def _connect(
        self, rooms: AsyncExitStack, store: Store, apps: Apps, stop: asyncio.Event
    ) -> None:
        """Build the rooms upon the store and the apps, and run them."""
        settings = self._settings
        topology = Topology(prefix=settings.name_prefix, retry_delays=settings.retry_delays)
        publishing = Link(settings.amqp_url.reveal, "publish")
        consuming = Link(settings.amqp_url.reveal, "consume")
        publisher = Publisher(
            publishing,
            topology,
            timeout=settings.publish_timeout,
            may_declare=settings.topology == "declare",
        )
        leadership = Leadership(
            store,
            owner=self._owner,
            lease_seconds=min(LEADER_LEASE_SECONDS, settings.lease),
            now=self._now,
        )
        relay = Relay(store, publisher, topology, metrics=self._metrics, now=self._now)
        store.on_news("outbox", relay.wake)
        store.on_news("lead", leadership.wake)
        housekeeping = Housekeeping(
            store,
            Keep(sent=settings.keep_sent, finished=settings.keep_finished),
            now=self._now,
        )
        consumer = Consumer(
            consuming,
            topology,
            publisher,
            self._path(store, apps, relay).process,
            prefetch=settings.prefetch,
            now=self._now,
        )
        http = HttpServer(
            settings.http_host,
            settings.http_port,
            checks_live={},
            checks_ready={
                "publishing": lambda: publishing.trouble,
                "consuming": lambda: consuming.trouble,
                "store": lambda: store.trouble,
            },
            checks_any=_checks_of(apps),
            registry=self._registry,
            extra_routes=self._webhooks(rooms, store, apps).routes(),
        )
        apps.on_change(lambda: consumer.be_cautious(apps.all_away()))
        self._metrics.watch(in_flight=lambda: consumer.in_flight, leads=leadership.leads)
        self.http_port = await http.start()
        rooms.push_async_callback(http.stop)
        rooms.push_async_callback(leadership.let_go)
        async with asyncio.TaskGroup() as loops:
            background = [
                loops.create_task(publishing.run(publisher.session), name="publishing"),
                loops.create_task(leadership.run(), name="leadership"),
                loops.create_task(relay.run(leadership.leads), name="relay"),
                loops.create_task(store.hear_news(), name="news"),
                loops.create_task(housekeeping.run(leadership.leads), name="housekeeping"),
                loops.create_task(self._tell_gauges(store), name="gauges"),
                *(
                    loops.create_task(budget.run(), name=f"budget/{account_id}")
                    for account_id, budget in self._budgets.items()
                ),
                *(
                    loops.create_task(
                        self._follow(store, app, relay, leadership), name=f"follow/{app.name}"
                    )
                    for app in apps
                ),
                *(
                    loops.create_task(
                        keep_registered(app.api, url, app=app.name, leads=leadership.leads),
                        name=f"registration/{app.name}",
                    )
                    for app, url in self._callbacks(apps)
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
        self, consumer: Consumer, taking: asyncio.Task[None], relay: Relay, leadership: Leadership
    ) -> None:
        """Take no more, settle what runs, publish what is committed; in the time there is."""
        structlog.get_logger().info("stopping", seconds=self._settings.shutdown)
        try:
            async with asyncio.timeout(self._settings.shutdown):
                await consumer.drain()
                await asyncio.wait([taking])
                if leadership.leads():
                    await relay.flush()
        except TimeoutError:
            # What runs still is delivered again, and what is committed is published later.
            structlog.get_logger().warning("stopped_before_all_was_done")
            taking.cancel()

    def _path(self, store: Store, apps: Apps, relay: Relay) -> CommandPath:
        settings = self._settings
        return CommandPath(
            store,
            apps,
            Limits(
                max_command_bytes=settings.max_command_bytes,
                max_age=settings.command_max_age,
                stop_wait=settings.stop_wait,
                settle=settings.reconcile,
                lease=settings.lease,
                retry_delays=settings.retry_delays,
            ),
            owner=self._owner,
            source=settings.source,
            now=self._now,
            committed=relay.wake,
            metrics=self._metrics,
            storage_profiles=settings.storage_profiles,
        )

    def _webhooks(self, rooms: AsyncExitStack, store: Store, apps: Apps) -> Webhooks:
        """Apps whose key is published at the same place share it."""
        settings = self._settings
        timeout = min(settings.api_timeout, WEBHOOK_KEY_SECONDS)
        keys = {
            url: WebhookKey(url, timeout=timeout)
            for url in sorted({given.webhook_key_url for given in settings.apps})
        }
        for key in keys.values():
            rooms.push_async_callback(key.aclose)
        return Webhooks(
            store,
            apps,
            {given.name: keys[given.webhook_key_url] for given in settings.apps},
            now=lambda: utc(self._now()),
            metrics=self._metrics,
        )

    def _callbacks(self, apps: Apps) -> list[tuple[App, str]]:
        """The apps whose webhooks are to be registered, and where they are to be sent."""
        public = {given.name: given.public_url for given in self._settings.apps}
        return [(app, callback_url(url, app.name)) for app in apps if (url := public[app.name])]

    async def _tell_gauges(self, store: Store) -> None:
        while True:
            try:
                events, oldest = await store.outbox_depth()
                self._metrics.outbox(events, 0.0 if oldest is None else self._now() - oldest)
                self._metrics.recordings(await store.count_by_status())
            except StoreUnavailable:
                pass  # readiness says so
            await asyncio.sleep(GAUGES_SECONDS)

    async def _follow(self, store: Store, app: App, relay: Relay, leadership: Leadership) -> None:
        """Sweep one app's list, and read what a list cannot tell."""
        settings = self._settings
        patience = Patience(
            files_wait=settings.files_wait,
            invoked_timeout=settings.invoked_timeout,
            uploading_timeout=settings.uploading_timeout,
            recording_timeout=settings.recording_timeout,
            vanished_after=settings.reconcile,
        )
        listing = app.api.at(Priority.SWEEP)
        sweep = Sweep(
            store,
            listing,
            patience,
            Pace(
                base=settings.sweep_interval,
                audit=settings.audit_interval,
                rate=app.sustained_rate * SHARE_OF_SWEEPS,
            ),
            app=app.name,
            others=Strangers(store, listing, app=app.name, now=self._utc, committed=relay.wake)
            if app.follow_all
            else None,
            outage=app.outage,
            metrics=self._metrics,
            now=self._utc,
            committed=relay.wake,
        )
        reader = Reader(
            store,
            app.api.at(Priority.READ),
            patience,
            app=app.name,
            outage=app.outage,
            now=self._utc,
            swept=sweep.swept,
            sweep_soon=sweep.soon,
            committed=relay.wake,
        )
        store.on_news("due", reader.wake)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(sweep.run(leadership.leads), name=f"sweep/{app.name}")
            loops.create_task(reader.run(leadership.leads), name=f"read/{app.name}")

    def _utc(self) -> datetime:
        return utc(self._now())

    def _open_budgets(self, store: Store) -> dict[str, Budget]:
        """One for each account: several of its apps may use the same token."""
        rates: dict[str, dict[Rate, None]] = {}
        for given in self._settings.apps:
            windows = (Rate(one.requests, one.seconds) for one in given.api_budget)
            rates.setdefault(given.account_id, {}).update(dict.fromkeys(windows))
        patience = min(BUDGET_PATIENCE_SECONDS, self._settings.lease * SHARE_OF_LEASE)
        return {
            account_id: Budget(store, f"account/{account_id}", windows, patience=patience)
            for account_id, windows in rates.items()
        }

    def _open(self, given: AppSettings) -> App:
        settings = self._settings
        return open_app(
            given.name,
            base_url=given.base_url,
            account_id=given.account_id,
            app_id=given.app_id,
            token=given.api_token,
            timeout=settings.api_timeout,
            retry=Retry(total_seconds=settings.api_retry),
            purse=self._budgets[given.account_id],
            follow_all=given.follow_all,
            sustained_rate=min(rate.requests / rate.seconds for rate in given.api_budget)
            / sum(one.account_id == given.account_id for one in settings.apps),
            metrics=self._metrics,
        )


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
