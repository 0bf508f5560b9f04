"""The apps that a worker serves: each has its own API client and circuit breaker."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from worker.budget.budget import Budget
from worker.domain.command_keys import DEFAULT_APP
from worker.domain.errors import Refused
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import HttpAttempt
from worker.realtimekit.retry import RequestRetry
from worker.settings.apps import AppSettings

MAX_NAMED_APPS: Final = 10
"""An error about an unknown app names at most this many configured apps."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One app: its API client, its circuit breaker, and how it is followed.

    With `follow_all`, events are published also for recordings that this worker did not start.
    `sustained_rate` is the average number of requests per second that its budget allows.
    """

    name: str
    api: RealtimeKitClient
    breaker: CircuitBreaker
    follow_all: bool = False
    sustained_rate: float = 4.0


def open_app(
    settings: AppSettings,
    *,
    timeout: float,
    retry: RequestRetry,
    metrics: Metrics,
    tracing: Tracing = NO_TRACING,
    budget: Budget | None = None,
    sustained_rate: float = 4.0,
) -> App:
    """Create an app. The caller closes its `api` with `aclose`.

    `timeout` is the total of one attempt, in seconds. With a `budget`, every attempt takes one
    token from it.
    """
    breaker = CircuitBreaker(time.monotonic, app=settings.name)

    def record_attempt(attempt: HttpAttempt) -> None:
        outcome = attempt.error.code if attempt.error else "ok"
        metrics.record_api_request(
            attempt.operation, outcome, attempt.seconds, is_retry=attempt.number > 1
        )
        breaker.record(attempt.error)
        if tracing.is_enabled:
            tracing.record_request(
                attempt.operation,
                seconds=attempt.seconds,
                failure=attempt.error_type,
                attributes=attempt.span_attributes(),
            )

    api = RealtimeKitClient(
        base_url=settings.base_url,
        account_id=settings.account_id,
        app_id=settings.app_id,
        token=settings.api_token.reveal,
        refresh_token=settings.api_token.refresh,
        timeout=timeout,
        retry=retry,
        on_attempt=record_attempt,
        on_unknown_status=metrics.record_unknown_status,
        budget=budget,
        proxies=settings.proxies,
    )
    metrics.watch_app(settings.name, lambda: breaker.is_open)
    return App(
        name=settings.name,
        api=api,
        breaker=breaker,
        follow_all=settings.follow_all,
        sustained_rate=sustained_rate,
    )


class Apps:
    """The apps of one worker by name. There is at least one."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = {app.name: app for app in apps}

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())

    def __contains__(self, name: str) -> bool:
        return name in self._apps

    def __len__(self) -> int:
        return len(self._apps)

    def find(self, name: str | None) -> App | None:
        """The app that a command names. Without a name: the only app, else the default app."""
        if name is None and len(self._apps) == 1:
            return next(iter(self))
        return self._apps.get(name or DEFAULT_APP)

    def unknown_app(self, name: str | None) -> Refused:
        """The error for a command whose app `find` did not find."""
        configured = [repr(known) for known in sorted(self._apps)]
        hidden = len(configured) - MAX_NAMED_APPS
        rest = f" and {hidden} more" if hidden > 0 else ""
        names = f"{', '.join(configured[:MAX_NAMED_APPS])}{rest}"
        problem = "app must be named" if name is None else f"app {name!r} is not configured"
        return Refused("unknown_app", f"{problem}; configured apps: {names}", field="app")

    def all_circuits_open(self) -> bool:
        """Whether no app's API can be used, so that no command can be executed at all."""
        return all(app.breaker.is_open for app in self)

    def readiness_checks(self) -> dict[str, Callable[[], str | None]]:
        """A check for each app, by name: why its API cannot be used now, or None."""

        def check_of(app: App) -> Callable[[], str | None]:
            return lambda: _unavailable_reason(app)

        return {"api" if len(self) == 1 else f"api/{app.name}": check_of(app) for app in self}

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the circuit breaker of an app opens or closes."""
        for app in self:
            app.breaker.on_change(callback)

    def stop_waiting(self) -> None:
        """End every wait for a circuit breaker, because the worker is about to end."""
        for app in self:
            app.breaker.stop_waiting()


def _unavailable_reason(app: App) -> str | None:
    """Why the last request failed, and whether the next ones have to wait because of that."""
    reason = app.api.unavailable_reason
    if reason is None or not app.breaker.is_open:
        return reason
    return f"{reason}; the circuit has been open for {app.breaker.open_for():.0f} s"
