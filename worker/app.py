"""The life of one worker process: open the store, run the loops, stop them in order."""

import asyncio
import time
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from worker.aio import cancel_all, first_of, run_loop, wait_for_any, wait_until_set
from worker.bootstrap import Bootstrap
from worker.broker.aiormq.versions import check_versions
from worker.broker.publisher import Publisher
from worker.commands.attempt_lease import FRESH_SECONDS
from worker.domain.errors import StoreUnavailable
from worker.observability.http_server import HttpServer
from worker.observability.metrics import Metrics
from worker.observability.trace_exporter import open_tracing
from worker.publishing.relay import OutboxRelay
from worker.settings.settings import Settings
from worker.store.store import Store
from worker.tracking.configured_apps import check_apps
from worker.tracking.webhook_endpoint import unavailable_routes
from worker.tracking.webhook_registration import keep_registered

VERSION: Final = version("recording-worker")
GAUGES_INTERVAL_SECONDS: Final = 5.0
OPEN_STORE_INTERVAL_SECONDS: Final = 2.0
FLUSH_CONNECT_TIMEOUT_SECONDS: Final = 2.0
JOIN_TIMEOUT_SECONDS: Final = 2.0
LEAVE_TIMEOUT_SECONDS: Final = 2.0


class Worker:
    """One worker process: `run` it once.

    All parts use the store's clock, which on PostgreSQL is that of the server. `http_port` is known
    once the worker listens.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = str(uuid.uuid4())
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry, version=VERSION)
        self.http_port: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, finish what runs within the shutdown time, and return.

        Raises WrongSettings for an app that is another one than before, while recordings of that
        one are open. Raises StoreUnavailable for an SQLite file that cannot be opened or was
        replaced. Raises OSError when the port is taken, and TopologyDiffers; inside an
        ExceptionGroup when the fault comes after the start. Raises UntestedLibrary when an AMQP
        library has a version that the worker was not tested with.
        """
        check_versions()
        async with AsyncExitStack() as resources:
            store = await self._open_store(stop)
            if store is None:
                return
            resources.push_async_callback(store.close)
            headers = self._settings.otlp_headers
            tracing = open_tracing(
                self._settings.traces_url,
                headers.reveal() if headers else None,
                version=VERSION,
                instance=self._owner,
            )
            resources.push_async_callback(tracing.aclose)
            parts = Bootstrap(
                self._settings,
                store,
                self._metrics,
                tracing,
                resources,
                registry=self._registry,
                owner=self._owner,
            )
            await check_apps(store, self._settings.apps)
            self.http_port = await parts.http_server.start()
            resources.push_async_callback(parts.http_server.stop)
            resources.push_async_callback(_leave, parts)
            await self._run_loops(parts, stop)
            if store.is_lost.is_set():
                raise StoreUnavailable(store.commit_error or "the files of the database are lost")
        structlog.get_logger().info("stopped")

    # 1. open the store

    async def _open_store(self, stop: asyncio.Event) -> Store | None:
        """The open store; None when `stop` was set before it could be opened.

        The worker waits for a database server that is unavailable: a restart would not bring it
        back. An SQLite file that cannot be opened is an error.
        """
        try:
            return await self._try_to_open_store(stop)
        except StoreUnavailable as error:
            if self._settings.database_url.reveal().startswith("sqlite"):
                raise
            return await self._wait_for_store(stop, str(error))

    async def _wait_for_store(self, stop: asyncio.Event, reason: str) -> Store | None:
        """Try again until the store opens. Meanwhile `/readyz` gives the reason."""
        http_server = HttpServer(
            self._settings.http_host,
            self._settings.http_port,
            checks_live={},
            checks_ready={"store": lambda: reason},
            registry=self._registry,
            extra_routes=unavailable_routes(self._metrics, lambda: reason),
        )
        port = await http_server.start()
        try:
            while not stop.is_set():
                structlog.get_logger().warning("store_awaited", reason=reason, http_port=port)
                await wait_until_set(stop, OPEN_STORE_INTERVAL_SECONDS)
                try:
                    return await self._try_to_open_store(stop)
                except StoreUnavailable as error:
                    reason = str(error)
        finally:
            await http_server.stop()
        return None

    async def _try_to_open_store(self, stop: asyncio.Event) -> Store | None:
        """The open store; None when `stop` was set first. A migration in progress is undone."""
        url = self._settings.database_url
        opening = asyncio.create_task(
            Store.open(
                url.reveal(),
                current_url=url.reveal,
                source=self._settings.source,
                archives=self._settings.archive.archive_url is not None,
                pooler=self._settings.database_pooler,
                ticks=time.monotonic,
            ),
            name="opening the store",
        )
        await first_of(opening, stop.wait())
        await asyncio.wait([opening])
        return None if opening.cancelled() else opening.result()

    # 2. run the loops

    async def _run_loops(self, parts: Bootstrap, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(run_loop(loop, name=name), name=name)
                for name, loop in self._background_loops(parts)
            ]
            # A command that ends this process soon must not keep others waiting for its lease.
            await wait_until_set(parts.store.replicas.has_joined, JOIN_TIMEOUT_SECONDS)
            consuming = [
                tasks.create_task(parts.consumer.run(), name="consuming"),
                tasks.create_task(parts.answerer.run(), name="answering"),
            ]
            structlog.get_logger().info("started", http_port=self.http_port, owner=self._owner)
            await wait_for_any(stop, parts.store.is_lost)
            parts.apps.stop_waiting()
            await self._drain(parts, consuming)
            await cancel_all(background)

    def _background_loops(
        self, parts: Bootstrap
    ) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        is_leader, replicas = parts.elector.is_leader, parts.store.replicas
        call_seconds = FRESH_SECONDS + self._settings.api_timeout_seconds
        yield "publishing", parts.publish_connection.run(parts.publisher.session)
        yield "replying", parts.reply_connection.run(parts.reply_publisher.session)
        yield "leader", parts.elector.run()
        yield "relay", parts.relay.run(parts.relay_leader_check)
        yield "replies", parts.reply_relay.run(parts.reply_leader_check)
        yield "parked", parts.parked_relay.run(parts.parked_leader_check)
        yield "notifications", parts.store.listen()
        yield "replicas", replicas.run(self._owner, call_seconds=call_seconds)
        yield "pruner", parts.pruner.run(parts.prune_leader_check)
        yield "gauges", self._update_gauges(parts.store)
        if parts.archiver is not None:
            yield "archive", parts.archiver.run(is_leader)
            yield "archive gauges", self._update_archive_gauges(parts.store)
        for account_id, budget in parts.budgets.items():
            yield f"budget/{account_id}", budget.run()
        for trackers in parts.trackers:
            yield from trackers.loops(is_leader)
        for app, url in parts.webhook_urls():
            yield (
                f"webhooks/{app.name}",
                keep_registered(app.api, url, parts.store, app=app.name, is_leader=is_leader),
            )

    async def _update_gauges(self, store: Store) -> None:
        while True:
            try:
                depth = await store.outbox_depth()
                self._metrics.set_outbox(
                    depth.events,
                    0.0 if depth.oldest_at is None else store.now() - depth.oldest_at,
                    deferred=depth.deferred,
                    set_aside=depth.set_aside,
                )
                self._metrics.set_parked(await _parked(store))
                self._metrics.set_recordings(await store.count_by_status())
                staleness, now = await store.staleness(), store.now()
                unchanged = {
                    status: now - since for status, since in staleness.unchanged_since.items()
                }
                due_since = staleness.due_since
                self._metrics.set_oldest(unchanged, 0.0 if due_since is None else now - due_since)
            except StoreUnavailable:
                pass  # readiness reports it
            await asyncio.sleep(GAUGES_INTERVAL_SECONDS)

    async def _update_archive_gauges(self, store: Store) -> None:
        while True:
            with suppress(StoreUnavailable):  # readiness reports it
                depth, now = await store.archive.depth(), store.now()
                self._metrics.set_archive(
                    queued=depth.queued,
                    oldest_age=0.0 if depth.oldest_at is None else now - depth.oldest_at,
                    first_expiry=None if depth.first_expiry is None else depth.first_expiry - now,
                    refused=depth.refused,
                    failed=depth.failed,
                )
            await asyncio.sleep(GAUGES_INTERVAL_SECONDS)

    # 3. stop in order

    async def _drain(self, parts: Bootstrap, consuming: list[asyncio.Task[None]]) -> None:
        """Receive no more commands, settle the running ones, and publish the committed events.

        Load balancers need some time to notice that this worker stops. Until then it answers.
        """
        delay = self._settings.shutdown_delay_seconds
        seconds = delay + self._settings.shutdown_seconds
        structlog.get_logger().info("stopping", seconds=seconds)
        parts.http_server.announce_stop()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    parts.consumer.drain(),
                    parts.answerer.drain(),
                    wait_until_set(parts.store.is_lost, delay),
                )
                await asyncio.wait(consuming)
                if parts.elector.is_leader():
                    await asyncio.gather(
                        _flush(parts.relay, parts.publisher),
                        _flush(parts.reply_relay, parts.reply_publisher),
                    )
        except TimeoutError:
            # The broker delivers the unsettled commands again; a later leader publishes the rest.
            structlog.get_logger().warning("shutdown_timed_out")
            for task in consuming:
                task.cancel()


async def _leave(parts: Bootstrap) -> None:
    """Release this replica's work and leases, so that another one need not wait until they end."""
    with suppress(TimeoutError):  # the database is silent: they end by themselves
        async with asyncio.timeout(LEAVE_TIMEOUT_SECONDS):
            await parts.store.replicas.leave()
            await parts.elector.release()


async def _parked(store: Store) -> dict[str, tuple[int, float]]:
    """How many commands are parked, and the age of the oldest, by what they wait for."""
    now = store.now()
    return {
        waits_for: (count.commands, 0.0 if count.oldest_at is None else now - count.oldest_at)
        for waits_for, count in (await store.count_parked()).items()
    }


async def _flush(relay: OutboxRelay, publisher: Publisher) -> None:
    """Publish the committed events, unless the broker is unavailable: a later leader publishes them
    then."""
    try:
        async with asyncio.timeout(FLUSH_CONNECT_TIMEOUT_SECONDS):
            await publisher.wait_ready()
    except TimeoutError:
        return
    await relay.flush()
