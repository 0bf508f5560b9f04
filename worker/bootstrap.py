"""Puts the rooms together from the settings, by plain constructor calls. Nothing runs here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import combinations
from typing import Final

from worker.budget.budget import Budget
from worker.budget.priorities import Priority
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import WrongSettings
from worker.domain.outcomes import utc
from worker.domain.rate import Rate
from worker.domain.timeouts import Timeouts
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.publishing.relay import OutboxRelay
from worker.realtimekit.apps import App, Apps, open_app
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.settings.apps import AppSettings
from worker.settings.settings import Settings
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.refresher import Refresher
from worker.tracking.sweep import Sweep
from worker.tracking.sweep_interval import SweepInterval
from worker.tracking.webhook_endpoint import WebhookEndpoint
from worker.tracking.webhook_registration import callback_url

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
    """The rooms upon an open store. What has to be closed in the end is left with `rooms`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        metrics: Metrics,
        tracing: Tracing,
        rooms: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self.tracing = tracing
        self._store = store
        self._metrics = metrics
        self._rooms = rooms
        self._payers = _payers(settings.apps)
        self.budgets = self._open_budgets()
        """By the account that pays: several of its apps may use the same token."""
        self.apps = Apps(self._open(one) for one in settings.apps)

    def path(self, relay: OutboxRelay, *, owner: str) -> CommandHandler:
        """What executes commands. `owner` is this replica's name."""
        settings = self._settings
        return CommandHandler(
            self._store,
            self.apps,
            RetryPolicy(
                max_age=settings.command_max_age_seconds,
                stop_wait=settings.stop_wait_seconds,
                settle=settings.reconcile_seconds,
                lease=settings.lease_seconds,
                retry_delays=settings.retry_delays_seconds,
            ),
            owner=owner,
            source=settings.source,
            now=self._store.now,
            max_command_bytes=settings.max_command_bytes,
            on_commit=relay.wake,
            metrics=self._metrics,
            tracing=self.tracing,
            queue=settings.name_prefix + ".commands",
            storage_profiles=settings.storage_profiles,
        )

    def webhooks(self) -> WebhookEndpoint:
        """What takes webhooks in. Apps whose key is published at the same place share it."""
        settings = self._settings
        timeout = min(settings.api_timeout_seconds, WEBHOOK_KEY_SECONDS)
        keys = {
            url: WebhookVerifier(url, timeout=timeout)
            for url in sorted({given.webhook_key_url for given in settings.apps})
        }
        for key in keys.values():
            self._rooms.push_async_callback(key.aclose)
        return WebhookEndpoint(
            self._store,
            self.apps,
            {given.name: keys[given.webhook_key_url] for given in settings.apps},
            now=self._utc,
            metrics=self._metrics,
            tracing=self.tracing,
        )

    def callbacks(self) -> Iterator[tuple[App, str]]:
        """The apps whose webhooks are to be registered, and where they are to be sent."""
        public = {given.name: given.public_url for given in self._settings.apps}
        for app in self.apps:
            if url := public[app.name]:
                yield app, callback_url(url, app.name)

    def following(self, app: App, committed: Callable[[], None]) -> tuple[Sweep, Refresher]:
        """What sweeps one app's list, and what reads that which a list cannot tell."""
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
            self._store, listing, app=app.name, now=self._utc, on_commit=committed
        )
        sweep = Sweep(
            self._store,
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
            tracing=self.tracing,
            now=self._utc,
            on_commit=committed,
        )
        reader = Refresher(
            self._store,
            app.api.with_priority(Priority.READ),
            patience,
            app=app.name,
            breaker=app.breaker,
            now=self._utc,
            sweep_state=sweep.state,
            request_sweep=sweep.request,
            on_commit=committed,
            tracing=self.tracing,
        )
        self._store.subscribe("due", reader.wake)
        return sweep, reader

    def _utc(self) -> datetime:
        return utc(self._store.now())

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
            self._store,
            f"account/{account_id}",
            rates,
            max_wait=patience,
            on_grant=self._metrics.record_budget_wait,
            on_rejection=self._metrics.record_budget_refusal,
        )
        self._metrics.watch_budget(account_id, budget)
        return budget

    def _open(self, given: AppSettings) -> App:
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
            tracing=self.tracing,
        )
        self._metrics.set_last_sweep(app.name, self._store.now())
        self._rooms.push_async_callback(app.api.aclose)
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
