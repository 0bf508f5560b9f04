"""Which app a command means, and when all of them are away."""

import pytest
from prometheus_client import CollectorRegistry

from recording_schemas import StartTrackRecording, StopRecording
from worker.domain.errors import Throttled
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps, open_app
from worker.realtimekit.retry import RequestRetry
from worker.settings.secret import Secret

MEETING = "2F1B7C3E-6a51-4f0a-9d5e-0c8f1f6f9b01"
START = StartTrackRecording(id="start", meeting_id=MEETING)
STOP = StopRecording(id="stop", meeting_id=MEETING)
AWAY = Throttled("throttled", "asked too often")


def app(name: str, metrics: Metrics | None = None) -> App:
    return open_app(
        name,
        base_url="http://127.0.0.1:1",
        account_id="account",
        app_id="app",
        token=Secret("token"),
        timeout=1.0,
        retry=RequestRetry(attempts=1),
        follow_all=False,
        metrics=metrics or Metrics(CollectorRegistry(), version="test"),
    )


def apps(*names: str) -> Apps:
    return Apps(map(app, names))


@pytest.mark.parametrize(
    ("configured", "named", "meant"),
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
async def test_a_command_means_the_app_it_names_else_the_only_one_else_the_default_one(
    configured: list[str], named: str | None, meant: str | None
) -> None:
    found = apps(*configured).find(named)
    assert (found.name if found else None) == meant


async def test_who_asks_for_an_app_that_is_not_there_is_told_which_are() -> None:
    refused = apps("us", "eu").unknown_app("asia")
    assert (refused.code, refused.field) == ("unknown_app", "app")
    assert refused.message == "app 'asia' is not configured; configured apps: 'eu', 'us'"
    assert (
        apps("us", "eu").unknown_app(None).message
        == "app must be named; configured apps: 'eu', 'us'"
    )


async def test_of_very_many_apps_only_some_are_named() -> None:
    message = apps(*(f"app-{number:03}" for number in range(100))).unknown_app("x").message
    assert message.endswith("'app-009' and 90 more")


async def test_nothing_can_be_executed_only_when_every_app_is_away() -> None:
    both = apps("eu", "us")
    changes: list[bool] = []
    both.on_change(lambda: changes.append(both.all_circuits_open()))
    eu, us = both
    eu.breaker.record(AWAY)
    us.breaker.record(AWAY)
    eu.breaker.record(None)
    assert changes == [False, True, False]


async def test_the_metrics_tell_which_app_is_away() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="test")
    away, _ = app("eu", metrics), app("us", metrics)
    away.breaker.record(AWAY)
    told = {
        name: registry.get_sample_value("recording_worker_api_circuit_open", {"app": name})
        for name in ("eu", "us")
    }
    assert told == {"eu": 1.0, "us": 0.0}
