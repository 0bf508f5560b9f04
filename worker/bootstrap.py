"""Builds every part of the worker from the settings, by plain constructor calls."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from worker.archive.opening import open_storage
from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.deaths import read_dead_letter
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.commands.dead_letters import MAX_CONCURRENT, DeadLetterHandler
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.read_policy import RECHECK_MAX_AGE_SECONDS
from worker.domain.times import utc
from worker.observability.http_server import Check, HttpServer
from worker.observability.liveness import STUCK_AFTER_SECONDS, Watchdog
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.parked_relay import ParkedRelay
from worker.publishing.relay import OutboxRelay
from worker.realtimekit.app_opener import AppOpener
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.settings.apps import AppSettings
from worker.settings.settings import Settings
from worker.store.leader import LeaderElector
from worker.store.pruner import Pruner, Retention
from worker.store.store import Store
from worker.tracking.archive_requests import ArchiveRequests
from worker.tracking.shown_files import ShownFiles
from worker.tracking.trackers import Trackers, build_trackers
from worker.tracking.webhook_endpoint import WebhookEndpoint
from worker.tracking.webhook_registration import callback_url

if TYPE_CHECKING:
    from worker.archive.archiver import Archiver

LEADER_LEASE_SECONDS: Final = 15.0
WEBHOOK_KEY_TIMEOUT_SECONDS: Final = 2.0
"""The sender of a webhook waits three seconds for the answer. The answer may need the key first,
and the key may not be fetched more often than once a second."""


class Bootstrap:
    """Every part of one worker process, with an open store. Nothing runs yet.

    The constructor builds the parts in the order of their dependencies. `owner` names this replica.
    Parts that must be closed at the end are registered with `resources`.
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
        self.store = store
        opener = AppOpener(settings, store, metrics, tracing)
        self.budgets = opener.budgets
        """The budgets by the id of the account that pays. Several accounts may use the same token.
        """
        self.apps = Apps(self._open_app(opener, app) for app in settings.apps)
        self._shown_files = {app.name: ShownFiles() for app in settings.apps}
        self.elector = LeaderElector(
            store,
            owner=owner,
            lease_seconds=min(LEADER_LEASE_SECONDS, settings.lease_seconds),
            now=store.now,
        )
        self.topology = Topology(
            prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds
        )
        self.publish_connection = BrokerConnection(settings.amqp_url.reveal, "publish")
        self.consume_connection = BrokerConnection(settings.amqp_url.reveal, "consume")
        self.publisher = Publisher(
            self.publish_connection,
            self.topology,
            timeout=settings.publish_timeout_seconds,
            may_declare=settings.topology == "declare",
        )
        self.reply_connection = BrokerConnection(settings.amqp_url.reveal, "reply")
        """RabbitMQ closes a connection over some reply addresses, so replies have their own."""
        self.reply_publisher = Publisher(
            self.reply_connection, None, timeout=settings.publish_timeout_seconds
        )
        self.relay = OutboxRelay(store, self._event_publisher(self.publisher), now=store.now)
        self.reply_relay = OutboxRelay(
            store, self._event_publisher(self.reply_publisher), now=store.now, replies=True
        )
        self.parked_relay = ParkedRelay(store, self.publisher, self.topology, now=store.now)
        handler = self._command_handler()
        self.consumer = Consumer(
            self.consume_connection,
            self.topology,
            self.publisher,
            handler.handle,
            prefetch=settings.prefetch,
            max_body_bytes=settings.max_command_bytes,
            now=store.now,
            on_dead_letter_refused=metrics.record_dead_letter_refused,
        )
        self.answer_connection = BrokerConnection(settings.amqp_url.reveal, "answer")
        self.answerer = self._answerer(handler)
        """Gives an outcome to each command that the broker dead-lettered."""
        self.trackers = [self._trackers(app) for app in self.apps]
        self.archiver = self._archiver()
        """Copies files to the user's storage; None if the archive is off."""
        self.pruner = Pruner(
            store,
            self._retention(),
            now=store.now,
            read_ahead=2 * (RECHECK_MAX_AGE_SECONDS + settings.files_late_seconds),
        )
        # A turn of the relay may wait for a few confirmations that do not come.
        self.watchdog = Watchdog(
            stuck_after=max(STUCK_AFTER_SECONDS, 3 * settings.publish_timeout_seconds)
        )
        # The loops call these at each turn, and the watchdog counts the calls.
        self.relay_leader_check = self.watchdog.watch("relay", self.elector.is_leader)
        self.reply_leader_check = self.watchdog.watch("replies", self.elector.is_leader)
        self.parked_leader_check = self.watchdog.watch("parked", self.elector.is_leader)
        self.prune_leader_check = self.watchdog.watch("pruner", self.elector.is_leader)
        self.http_server = self._http_server(registry)
        self._connect_signals()

    def _open_app(self, opener: AppOpener, app_settings: AppSettings) -> App:
        app = opener.open(app_settings)
        self._resources.push_async_callback(app.api.aclose)
        self._metrics.set_last_sweep(app.name, self.store.now())
        return app

    def webhook_urls(self) -> Iterator[tuple[App, str]]:
        """The apps whose webhooks are to be registered, with the URL of each."""
        public_urls = {app.name: app.public_url for app in self._settings.apps}
        for app in self.apps:
            if public_url := public_urls[app.name]:
                yield app, callback_url(public_url, app.name)

    def _event_publisher(self, publisher: Publisher) -> EventPublisher:
        return EventPublisher(
            publisher,
            self.topology,
            metrics=self._metrics,
            tracing=self._tracing,
            now=self.store.now,
            reply_pattern=self._settings.reply_to,
        )

    def _answerer(self, handler: CommandHandler) -> Consumer:
        answers = DeadLetterHandler(
            handler.handle,
            max_command_bytes=self._settings.max_command_bytes,
            on_dead_letter=self._metrics.record_dead_letter,
        )
        return Consumer(
            self.answer_connection,
            self.topology,
            self.publisher,
            answers.handle,
            prefetch=min(MAX_CONCURRENT, self._settings.prefetch),
            max_body_bytes=self._settings.max_command_bytes,
            queue=self.topology.unanswered_queue,
            read=read_dead_letter,
            now=self.store.now,
        )

    def _command_handler(self) -> CommandHandler:
        settings = self._settings
        return CommandHandler(
            self.store,
            self.apps,
            RetryPolicy(
                max_age=settings.command_max_age_seconds,
                stop_wait=settings.stop_wait_seconds,
                session_wait=settings.session_wait_seconds,
                reconcile=settings.reconcile_seconds,
                lease=settings.lease_seconds,
                retry_delays=settings.retry_delays_seconds,
            ),
            owner=self._owner,
            source=settings.source,
            now=self.store.now,
            max_command_bytes=settings.max_command_bytes,
            metrics=self._metrics,
            tracing=self._tracing,
            queue=self.topology.command_queue,
            storage_profiles=settings.storage_profiles,
            check_user_ids=settings.participant_check == "reject",
            archives=settings.archive.archive_url is not None,
        )

    def _webhook_endpoint(self) -> WebhookEndpoint:
        """Apps whose webhook key is published at one URL share its verifier."""
        settings = self._settings
        timeout = min(settings.api_timeout_seconds, WEBHOOK_KEY_TIMEOUT_SECONDS)
        verifiers = {
            url: WebhookVerifier(url, timeout=timeout, proxies=settings.proxies)
            for url in sorted({app.webhook_key_url for app in settings.apps})
        }
        for verifier in verifiers.values():
            self._resources.push_async_callback(verifier.aclose)
        return WebhookEndpoint(
            self.store,
            self.apps,
            {app.name: verifiers[app.webhook_key_url] for app in settings.apps},
            self._shown_files,
            now=self._utc_now,
            metrics=self._metrics,
            tracing=self._tracing,
        )

    def _trackers(self, app: App) -> Trackers:
        return build_trackers(
            self.store,
            app,
            self._settings,
            metrics=self._metrics,
            tracing=self._tracing,
            shown_files=self._shown_files[app.name],
        )

    def _archiver(self) -> "Archiver | None":
        settings = self._settings.archive
        if settings.archive_url is None:
            return None
        storage = open_storage(
            settings.archive_url,
            timeout_seconds=settings.archive_timeout_seconds,
            part_bytes=settings.archive_part_bytes,
        )
        # Only now, because it loads the libraries of the extra `archive`, which may be missing.
        from worker.archive.assembly import build_archiver

        requests = ArchiveRequests(self.store, self.apps, now=self._utc_now)
        return build_archiver(
            settings,
            storage,
            self.store,
            owner=self._owner,
            proxies=self._settings.proxies,
            read_again=requests.read_again,
            read_participants=requests.read_participants,
            metrics=self._metrics,
            tracing=self._tracing,
        )

    def _retention(self) -> Retention:
        return Retention(
            sent_seconds=self._settings.keep_sent_seconds,
            finished_seconds=self._settings.keep_finished_seconds,
        )

    def _http_server(self, registry: CollectorRegistry) -> HttpServer:
        checks: dict[str, Check] = {
            "publishing": lambda: self.publish_connection.unavailable_reason,
            "consuming": lambda: self.consume_connection.unavailable_reason,
            "answering": lambda: self.answer_connection.unavailable_reason,
            "store": lambda: self.elector.cannot_write_reason() or self.store.commit_error,
        }
        app_checks = self.apps.readiness_checks()
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
        """Connect the parts that notify or delay each other."""
        self.store.subscribe("outbox", self.relay.wake)
        self.store.subscribe("replies", self.reply_relay.wake)
        self.store.subscribe("parked", self.parked_relay.wake)
        self.store.subscribe("lease", self.elector.wake)
        if self.archiver is not None:
            self.store.subscribe("archive", self.archiver.wake)
        self.apps.on_change(lambda: self.consumer.set_one_at_a_time(self.apps.all_circuits_open()))
        self._metrics.watch_replica(
            in_flight=lambda: self.consumer.in_flight, leads=self.elector.is_leader
        )

    def _utc_now(self) -> datetime:
        return utc(self.store.now())
