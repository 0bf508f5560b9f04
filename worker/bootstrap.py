"""Builds every part of the worker from the settings, by plain constructor calls."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import combinations
from typing import Final

from prometheus_client import CollectorRegistry

from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.budget.budget import Budget
from worker.budget.priorities import Priority
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.domain.timeouts import Timeouts
from worker.domain.times import utc
from worker.observability.http_server import Check, HttpServer
from worker.observability.liveness import STUCK_AFTER_SECONDS, Watchdog
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.relay import OutboxRelay
from worker.realtimekit.apps import App, Apps, open_app
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.settings.apps import AppSettings
from worker.settings.settings import Settings
from worker.store.leader import LeaderElector
from worker.store.pruner import Pruner, Retention
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.refresher import Refresher
from worker.tracking.sweep import Sweep
from worker.tracking.sweep_interval import SweepInterval
from worker.tracking.webhook_endpoint import WebhookEndpoint
from worker.tracking.webhook_registration import callback_url

LEADER_LEASE_SECONDS: Final = 15.0
BUDGET_PATIENCE_SECONDS: Final = 5.0
SHARE_OF_LEASE: Final = 1 / 12
"""A command may have to wait for its budget several times within its lease."""
SHARE_OF_SWEEPS: Final = 0.5
"""Of an app's requests; reads of single recordings and commands need the others."""
REQUESTS_SHARE_OF_LEASE: Final = 3 / 4
"""A request that hangs must be given up before its command's attempt is: the one tells that the API
is away, the other does not."""
WEBHOOK_KEY_SECONDS: Final = 2.0
"""Who sends a webhook waits three seconds for the answer, which may need the key first, and up to a
second until that may be fetched."""


def open_tracing(settings: Settings, *, version: str, instance: str) -> Tracing:
    """What tells of the work, to nobody unless a collector is named.

    Raises WrongSettings when one is and the packages are missing, or a variable of theirs is wrong.
    """
    url = settings.traces_url
    if url is None:
        return Tracing()
    try:
        from worker.observability.otlp import OtlpTracing  # takes half a second and ten MB
    except ImportError as missing:
        raise WrongSettings(
            [f"OTEL_EXPORTER_OTLP_ENDPOINT: needs the extra `tracing`, which lacks {missing.name}"]
        ) from missing
    try:
        return OtlpTracing(
            url,
            headers=settings.otlp_headers.reveal() if settings.otlp_headers else None,
            service_name="recording-worker",
            version=version,
            instance=instance,
        )
    except ValueError as wrong:
        raise WrongSettings([f"OTEL_…: {wrong}"]) from wrong


class Bootstrap:
    """Every part of one worker process, upon an open store. Nothing runs yet.

    The constructor builds the parts in the order of their dependencies. `owner` names this replica.
    What must be closed at the end is registered with `resources`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        tracing: Tracing,
        resources: AsyncExitStack,
        *,
        registry: CollectorRegistry,
        owner: str,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
        self._resources = resources
        self._owner = owner
        self._payers = _payers(settings.apps)
        self.store = store
        self.budgets = self._open_budgets()
        """By the id of the account that pays: several accounts may use the same token."""
        self.apps = Apps(self._open_app(app) for app in settings.apps)
        self.elector = LeaderElector(
            store,
            owner=owner,
            lease_seconds=min(LEADER_LEASE_SECONDS, settings.lease_seconds),
            now=store.now,
        )
        self.topology = Topology(
            prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds
        )
        self.publishing = BrokerConnection(settings.amqp_url.reveal, "publish")
        self.consuming = BrokerConnection(settings.amqp_url.reveal, "consume")
        self.publisher = Publisher(
            self.publishing,
            self.topology,
            timeout=settings.publish_timeout_seconds,
            may_declare=settings.topology == "declare",
        )
        events = EventPublisher(
            self.publisher, self.topology, metrics=metrics, tracing=tracing, now=store.now
        )
        self.relay = OutboxRelay(store, events, now=store.now)
        self.consumer = Consumer(
            self.consuming,
            self.topology,
            self.publisher,
            self._command_handler().handle,
            prefetch=settings.prefetch,
            now=store.now,
        )
        self.trackers = {app.name: self._tracker(app, self.relay.wake) for app in self.apps}
        """The sweep and the refresher of each app."""
        self.pruner = Pruner(store, self._retention(), now=store.now)
        self.watchdog = Watchdog(
            stuck_after=max(STUCK_AFTER_SECONDS, 3 * settings.publish_timeout_seconds)
        )
        """A turn of the relay may wait for a few confirmations that do not come."""
        self.may_relay = self.watchdog.watch("relay", self.elector.is_leader)
        self.may_prune = self.watchdog.watch("pruner", self.elector.is_leader)
        self.http_server = self._http_server(registry)
        self._connect_signals()

    def webhook_urls(self) -> Iterator[tuple[App, str]]:
        """The apps whose webhooks are to be registered, with the URL of each."""
        public_urls = {app.name: app.public_url for app in self._settings.apps}
        for app in self.apps:
            if public_url := public_urls[app.name]:
                yield app, callback_url(public_url, app.name)

    def _command_handler(self) -> CommandHandler:
        settings = self._settings
        return CommandHandler(
            self.store,
            self.apps,
            RetryPolicy(
                max_age=settings.command_max_age_seconds,
                stop_wait=settings.stop_wait_seconds,
                settle=settings.reconcile_seconds,
                lease=settings.lease_seconds,
                retry_delays=settings.retry_delays_seconds,
            ),
            owner=self._owner,
            source=settings.source,
            now=self.store.now,
            max_command_bytes=settings.max_command_bytes,
            on_commit=self.relay.wake,
            metrics=self._metrics,
            tracing=self._tracing,
            queue=settings.name_prefix + ".commands",
            storage_profiles=settings.storage_profiles,
        )

    def _webhook_endpoint(self) -> WebhookEndpoint:
        """Apps whose webhook key is published at one URL share its verifier."""
        settings = self._settings
        timeout = min(settings.api_timeout_seconds, WEBHOOK_KEY_SECONDS)
        verifiers = {
            url: WebhookVerifier(url, timeout=timeout)
            for url in sorted({app.webhook_key_url for app in settings.apps})
        }
        for verifier in verifiers.values():
            self._resources.push_async_callback(verifier.aclose)
        return WebhookEndpoint(
            self.store,
            self.apps,
            {app.name: verifiers[app.webhook_key_url] for app in settings.apps},
            now=self._utc_now,
            metrics=self._metrics,
            tracing=self._tracing,
        )

    def _tracker(self, app: App, committed: Callable[[], None]) -> tuple[Sweep, Refresher]:
        settings = self._settings
        patience = Timeouts(
            files_wait=settings.files_wait_seconds,
            invoked_timeout=settings.invoked_timeout_seconds,
            uploading_timeout=settings.uploading_timeout_seconds,
            recording_timeout=settings.recording_timeout_seconds,
            vanished_after=settings.reconcile_seconds,
        )
        listing = app.api.with_priority(Priority.SWEEP)
        discovery = ExternalRecordingDiscovery(
            self.store, listing, app=app.name, now=self._utc_now, on_commit=committed
        )
        sweep = Sweep(
            self.store,
            listing,
            patience,
            SweepInterval(
                base=settings.sweep_interval_seconds,
                audit=settings.audit_interval_seconds,
                rate=app.sustained_rate * SHARE_OF_SWEEPS,
            ),
            app=app.name,
            discovery=discovery if app.follow_all else None,
            breaker=app.breaker,
            metrics=self._metrics,
            tracing=self._tracing,
            now=self._utc_now,
            on_commit=committed,
        )
        reader = Refresher(
            self.store,
            app.api.with_priority(Priority.READ),
            patience,
            app=app.name,
            breaker=app.breaker,
            now=self._utc_now,
            sweep_state=sweep.state,
            request_sweep=sweep.request,
            on_commit=committed,
            tracing=self._tracing,
        )
        self.store.subscribe("due", reader.wake)
        return sweep, reader

    def _retention(self) -> Retention:
        return Retention(
            sent_seconds=self._settings.keep_sent_seconds,
            finished_seconds=self._settings.keep_finished_seconds,
        )

    def _http_server(self, registry: CollectorRegistry) -> HttpServer:
        checks: dict[str, Check] = {
            "publishing": lambda: self.publishing.unavailable_reason,
            "consuming": lambda: self.consuming.unavailable_reason,
            "store": lambda: self.store.commit_error,
        }
        app_checks = _app_checks(self.apps)
        self._metrics.watch_checks(checks | app_checks)
        return HttpServer(
            self._settings.http_host,
            self._settings.http_port,
            checks_live=self.watchdog.checks(),
            checks_ready=checks,
            checks_any=app_checks,
            registry=registry,
            extra_routes=self._webhook_endpoint().routes(),
        )

    def _connect_signals(self) -> None:
        """Connect the parts that wake or slow down each other."""
        self.store.subscribe("outbox", self.relay.wake)
        self.store.subscribe("lease", self.elector.wake)
        self.apps.on_change(lambda: self.consumer.take_one_at_a_time(self.apps.all_circuits_open()))
        self._metrics.watch_replica(
            in_flight=lambda: self.consumer.in_flight, leads=self.elector.is_leader
        )

    def _utc_now(self) -> datetime:
        return utc(self.store.now())

    def _open_budgets(self) -> dict[str, Budget]:
        rates: dict[str, dict[Rate, None]] = {}
        for given in self._settings.apps:
            of_payer = rates.setdefault(self._payers[given.account_id], {})
            of_payer.update(dict.fromkeys(given.api_budget))
        patience = min(BUDGET_PATIENCE_SECONDS, self._settings.lease_seconds * SHARE_OF_LEASE)
        return {
            account_id: self._open_budget(account_id, it, patience)
            for account_id, it in rates.items()
        }

    def _open_budget(self, account_id: str, rates: Iterable[Rate], patience: float) -> Budget:
        budget = Budget(
            self.store,
            f"account/{account_id}",
            rates,
            max_wait=patience,
            on_grant=self._metrics.record_budget_wait,
            on_rejection=self._metrics.record_budget_refusal,
        )
        self._metrics.watch_budget(account_id, budget)
        return budget

    def _open_app(self, given: AppSettings) -> App:
        settings = self._settings
        payer = self._payers[given.account_id]
        sharing = [one for one in settings.apps if self._payers[one.account_id] == payer]
        rates = [rate.requests / rate.seconds for one in sharing for rate in one.api_budget]
        app = open_app(
            given.name,
            base_url=given.base_url,
            account_id=given.account_id,
            app_id=given.app_id,
            token=given.api_token,
            timeout=min(
                settings.api_timeout_seconds, settings.lease_seconds * REQUESTS_SHARE_OF_LEASE
            ),
            retry=RequestRetry(total_seconds=settings.api_retry_seconds),
            budget=self.budgets[payer],
            follow_all=given.follow_all,
            sustained_rate=min(rates) / len(sharing),
            metrics=self._metrics,
            tracing=self._tracing,
        )
        self._metrics.set_last_sweep(app.name, self.store.now())
        self._resources.push_async_callback(app.api.aclose)
        return app


def _payers(apps: Sequence[AppSettings]) -> dict[str, str]:
    """For each account the one whose budget pays: the API counts by token, and one may serve many.

    Tokens are compared once: what replaces one later inherits its budget.
    """
    payers = {one.account_id: one.account_id for one in apps}
    for one, other in combinations(apps, 2):
        if one.api_token.reveal() == other.api_token.reveal():
            first, last = sorted((payers[one.account_id], payers[other.account_id]))
            payers = {account: first if it == last else it for account, it in payers.items()}
    return payers


def _app_checks(apps: Apps) -> dict[str, Check]:
    """The readiness check of each app, named after the app where there are several."""

    def check_of(app: App) -> Check:
        return lambda: app.api.trouble

    return {"api" if len(apps) == 1 else f"api/{app.name}": check_of(app) for app in apps}
