"""The apps that a worker serves: each has an API connection and outages of its own."""

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
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.session import HttpAttempt
from worker.settings.secret import Secret

MOST_NAMED: Final = 10
"""So many apps are named to who asked for one that is not there."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One app's things. `follow_all`: also of what was not started here the events go out.

    `sustained_rate` is how many requests a second its budget allows in the long run.
    """

    name: str
    api: RealtimeKitClient
    breaker: CircuitBreaker
    follow_all: bool = False
    sustained_rate: float = 4.0


def open_app(
    name: str,
    *,
    base_url: str,
    account_id: str,
    app_id: str,
    token: Secret,
    timeout: float,
    retry: RequestRetry,
    metrics: Metrics,
    tracing: Tracing = NO_TRACING,
    budget: Budget | None = None,
    follow_all: bool = False,
    sustained_rate: float = 4.0,
) -> App:
    """Put one app together. Its `api` is to be closed in the end. `timeout` is in seconds.

    `budget` is what its requests are paid from, if anything.
    """
    outage = CircuitBreaker(time.monotonic, app=name)

    def heard(one: HttpAttempt) -> None:
        outcome = one.error.code if one.error else "ok"
        metrics.record_api_request(one.operation, outcome, one.seconds, again=one.number > 1)
        outage.record(one.error)
        if tracing.is_enabled:
            tracing.record_request(
                one.operation,
                seconds=one.seconds,
                failure=one.error_type,
                attributes=one.span_attributes(),
            )

    api = RealtimeKitClient(
        base_url=base_url,
        account_id=account_id,
        app_id=app_id,
        token=token.reveal,
        renew=token.refresh,
        timeout=timeout,
        retry=retry,
        on_attempt=heard,
        budget=budget,
    )
    metrics.watch_app(name, lambda: outage.is_open)
    return App(
        name=name,
        api=api,
        breaker=outage,
        follow_all=follow_all,
        sustained_rate=sustained_rate,
    )


class Apps:
    """The apps of one worker by their names; there is at least one."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = {app.name: app for app in apps}

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())

    def __contains__(self, name: str) -> bool:
        return name in self._apps

    def __len__(self) -> int:
        return len(self._apps)

    def find(self, name: str | None) -> App | None:
        """The app that a command means: by its name, else the only one, else the default one."""
        if name is None and len(self._apps) == 1:
            return next(iter(self))
        return self._apps.get(name or DEFAULT_APP)

    def unknown_app(self, name: str | None) -> Refused:
        """What to tell when `find` found none."""
        names = [repr(one) for one in sorted(self._apps)]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        here = f"here are {', '.join(names[:MOST_NAMED])}{more}"
        what = "app must be named" if name is None else f"app {name!r} is not configured"
        return Refused("unknown_app", f"{what}; {here}", field="app")

    def all_circuits_open(self) -> bool:
        """Whether the API is away for each of them: then nothing can be executed at all."""
        return all(app.breaker.is_open for app in self)

    def on_change(self, told: Callable[[], None]) -> None:
        """Have `told` called whenever an outage of one of them begins or ends."""
        for app in self:
            app.breaker.on_change(told)

    def stop_waiting(self) -> None:
        """Let nobody wait for leave to ask any more: the worker is about to end."""
        for app in self:
            app.breaker.stop_waiting()
