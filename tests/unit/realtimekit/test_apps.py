"""Which app a command gets, and when every circuit is open."""

import pytest
from prometheus_client import CollectorRegistry

from worker.domain.errors import Throttled
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps, open_app
from worker.realtimekit.retry import RequestRetry
from worker.settings.apps import AppSettings
from worker.settings.secret import Secret

THROTTLED = Throttled("throttled", "too many requests")


def app(name: str, metrics: Metrics | None = None) -> App:
    settings = AppSettings(
        name=name,
        account_id="account",
        app_id="app",
        api_token=Secret("token"),
        base_url="http://127.0.0.1:1",
        webhook_key_url="http://127.0.0.1:1/webhooks.json",
        api_budget=(),
        follow_all=False,
        public_url=None,
    )
    return open_app(
        settings,
        timeout=1.0,
        retry=RequestRetry(attempts=1),
        metrics=metrics or Metrics(CollectorRegistry(), version="test"),
    )


def apps(*names: str) -> Apps:
    return Apps(map(app, names))


@pytest.mark.parametrize(
    ("configured", "named", "expected"),
    [
        (["default"], None, "default"),
        (["eu"], None, "eu"),
        (["eu"], "eu", "eu"),
        (["eu"], "us", None),
        (["eu"], "default", None),
        (["eu", "default"], None, "default"),
        (["eu", "default"], "eu", "eu"),
        (["eu", "us"], None, None),
    ],
)
async def test_a_command_gets_the_app_it_names_else_the_only_app_else_the_default_app(
    configured: list[str], named: str | None, expected: str | None
) -> None:
    found = apps(*configured).find(named)
    assert (found.name if found else None) == expected


async def test_the_error_about_an_unknown_app_names_the_configured_apps() -> None:
    error = apps("us", "eu").unknown_app("asia")
    assert (error.code, error.field) == ("unknown_app", "app")
    assert error.message == "app 'asia' is not configured; configured apps: 'eu', 'us'"
    assert (
        apps("us", "eu").unknown_app(None).message
        == "app must be named; configured apps: 'eu', 'us'"
    )


async def test_the_error_about_an_unknown_app_names_at_most_ten_apps() -> None:
    message = apps(*(f"app-{number:03}" for number in range(100))).unknown_app("x").message
    assert message.endswith("'app-009' and 90 more")


async def test_all_circuits_are_open_only_when_every_apps_circuit_is_open() -> None:
    two_apps = apps("eu", "us")
    changes: list[bool] = []
    two_apps.on_change(lambda: changes.append(two_apps.all_circuits_open()))
    eu, us = two_apps
    eu.breaker.record(THROTTLED)
    us.breaker.record(THROTTLED)
    eu.breaker.record(None)
    assert changes == [False, True, False]


async def test_the_metric_shows_which_apps_circuit_is_open() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="test")
    eu, _ = app("eu", metrics), app("us", metrics)
    eu.breaker.record(THROTTLED)
    open_circuits = {
        name: registry.get_sample_value("recording_worker_api_circuit_open", {"app": name})
        for name in ("eu", "us")
    }
    assert open_circuits == {"eu": 1.0, "us": 0.0}
