"""Opens the configured apps, with a budget for each token."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from worker.budget.budget import Budget, BudgetStore
from worker.domain.rate import Rate
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.realtimekit.apps import App, open_app
from worker.realtimekit.retry import RequestRetry
from worker.settings.apps import AppSettings
from worker.settings.settings import Settings

BUDGET_MAX_WAIT_SECONDS: Final = 5.0
BUDGET_SHARE_OF_LEASE: Final = 1 / 12
"""A command may have to wait for its budget several times within its lease."""
REQUEST_SHARE_OF_LEASE: Final = 3 / 4
"""A request must time out before its command's attempt does. Only the request's own time-out counts
as a failure of the API."""


class AppOpener:
    """Opens apps. Apps whose token is the same share one of the `budgets`.

    `budgets` has each budget by the id of the account that pays.
    """

    def __init__(
        self, settings: Settings, store: BudgetStore, metrics: Metrics, tracing: Tracing
    ) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._tracing = tracing
        self._payers = _payers(settings.apps)
        self.budgets = self._open_budgets()

    def open(self, app_settings: AppSettings) -> App:
        """Create an app. The caller closes its `api` with `aclose`."""
        settings = self._settings
        payer = self._payers[app_settings.account_id]
        sharing = [app for app in settings.apps if self._payers[app.account_id] == payer]
        rates = [rate.requests / rate.seconds for app in sharing for rate in app.api_budget]
        return open_app(
            app_settings,
            timeout=min(
                settings.api_timeout_seconds, settings.lease_seconds * REQUEST_SHARE_OF_LEASE
            ),
            retry=RequestRetry(total_seconds=settings.api_retry_seconds),
            budget=self.budgets[payer],
            sustained_rate=min(rates) / len(sharing),
            metrics=self._metrics,
            tracing=self._tracing,
        )

    def _open_budgets(self) -> dict[str, Budget]:
        rates: dict[str, dict[Rate, None]] = {}
        for app in self._settings.apps:
            rates_of_payer = rates.setdefault(self._payers[app.account_id], {})
            rates_of_payer.update(dict.fromkeys(app.api_budget))
        return {payer: self._open_budget(payer, limits) for payer, limits in rates.items()}

    def _open_budget(self, account_id: str, rates: Iterable[Rate]) -> Budget:
        budget = Budget(
            self._store,
            f"account/{account_id}",
            rates,
            max_wait=min(
                BUDGET_MAX_WAIT_SECONDS, self._settings.lease_seconds * BUDGET_SHARE_OF_LEASE
            ),
            on_grant=self._metrics.record_budget_wait,
            on_rejection=self._metrics.record_budget_refusal,
        )
        self._metrics.watch_budget(account_id, budget)
        return budget


def _payers(apps: Sequence[AppSettings]) -> dict[str, str]:
    """The id of the account whose budget pays, for each account id.

    The API counts requests by token, and one token may serve several accounts. Tokens are compared
    only once, so a token that replaces another one later keeps the budget.
    """
    payers = {app.account_id: app.account_id for app in apps}
    for app, other in combinations(apps, 2):
        if app.api_token.reveal() == other.api_token.reveal():
            first, last = sorted((payers[app.account_id], payers[other.account_id]))
            payers = {
                account: first if payer == last else payer for account, payer in payers.items()
            }
    return payers
