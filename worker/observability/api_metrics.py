"""The metrics of the remote API: requests, budgets and circuit breakers."""

from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from worker.budget.priorities import Priority
from worker.observability.later_updates import LaterUpdates
from worker.observability.metric_factory import BoundedLabel, MetricFactory

_API_BUCKETS: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BUDGET_BUCKETS: Final = (0.001, 0.01, 0.1, 1, 3, 10, 30, 100, 300)


class BudgetState(Protocol):
    """The figures of an API request budget that are exported."""

    def remaining(self) -> int | None:
        """How many requests are left; None before that is known."""

    def paused_for(self) -> float:
        """For how many seconds no request may be sent, except urgent ones."""


class ApiMetrics:
    """The part of `Metrics` that concerns the remote API. Times are in seconds."""

    _later: LaterUpdates

    def _create_api_metrics(self, new: MetricFactory) -> None:
        self._operations = BoundedLabel()
        self._api_outcomes = BoundedLabel()
        self._api_requests = cache(
            new.counter(
                "api_requests",
                "HTTP attempts of requests to the recording API, by outcome.",
                "operation",
                "outcome",
            ).labels
        )
        self._api_seconds = cache(
            new.histogram(
                "api_request_duration_seconds",
                "Duration of one HTTP attempt.",
                _API_BUCKETS,
                "operation",
            ).labels
        )
        self._api_retries = new.counter(
            "api_retries", "HTTP attempts after the first one of a request.", "operation"
        )
        self._unknown_statuses = new.counter(
            "api_unknown_statuses",
            "Recordings in answers and webhooks with an undocumented status.",
        )
        self._budget_left = new.gauge(
            "api_budget_left",
            "API requests that may be sent now, as of the last update.",
            "account",
        )
        self._budget_paused = new.gauge(
            "api_budget_paused_seconds",
            "How long only stops, or no requests, may be sent after the API throttled one.",
            "account",
        )
        self._budget_waited = cache(
            new.histogram(
                "api_budget_wait_seconds",
                "How long requests waited for the API request budget.",
                _BUDGET_BUCKETS,
                "priority",
            ).labels
        )
        self._budget_refused = new.counter(
            "api_budget_refusals",
            "Requests of commands that got no quota in time. Their commands are retried later.",
            "priority",
        )
        self._circuit_open = new.gauge(
            "api_circuit_open", "1 while the circuit breaker of the app's API is open.", "app"
        )
        for priority in Priority:
            self._budget_refused.labels(priority.name.lower())

    def record_api_request(
        self, operation: str, outcome: str, seconds: float, *, is_retry: bool = False
    ) -> None:
        """Record one HTTP attempt. `outcome` is a slug. `is_retry`: it is not the first attempt."""
        known = self._operations.of(operation)
        self._later.add(self._api_requests(known, self._api_outcomes.of(outcome)).inc)
        self._later.add(self._api_seconds(known).observe, seconds)
        if is_retry:
            self._api_retries.labels(known).inc()

    def record_unknown_status(self) -> None:
        """Count a recording whose status is not documented."""
        self._unknown_statuses.inc()

    def record_budget_wait(self, priority: Priority, seconds: float) -> None:
        """Record that a request got its token from the budget after this many seconds."""
        self._later.add(self._budget_waited(priority.name.lower()).observe, max(seconds, 0.0))

    def record_budget_refusal(self, priority: Priority) -> None:
        """Count a request for which the budget had no quota left in time."""
        self._budget_refused.labels(priority.name.lower()).inc()

    def watch_budget(self, account: str, budget: BudgetState) -> None:
        """Read an account's budget at each scrape."""
        nothing_known = float("nan")
        self._budget_left.labels(account).set_function(
            lambda: nothing_known if (left := budget.remaining()) is None else left
        )
        self._budget_paused.labels(account).set_function(budget.paused_for)

    def watch_app(self, app: str, is_open: Callable[[], bool]) -> None:
        """Call `is_open` of the app's circuit breaker at each scrape. It must not block."""
        self._circuit_open.labels(app).set_function(is_open)
