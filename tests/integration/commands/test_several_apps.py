"""Two apps in one worker: two emulated APIs, one store, one path of commands."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Fault
from worker.broker.messages import Ack, Delivery, Retry, Settlement
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps, open_app
from worker.realtimekit.retry import RequestRetry
from worker.settings.apps import AppSettings
from worker.settings.secret import Secret
from worker.store.queries import RecordingsFilter
from worker.store.store import Store

LIMITS = RetryPolicy(
    max_age=3600,
    stop_wait=300,
    reconcile=30,
    lease=60,
    retry_delays=(5.0, 30.0, 120.0, 600.0),
)
NAMES = ("eu", "us")


class Bench:
    """Apps `eu` and `us`. Each has a separate API that accepts only the app's token."""

    def __init__(self, apis: dict[str, Sandbox], store: Store) -> None:
        self.apis = apis
        self.store = store
        self.ahead = 0.0
        self.meeting = str(uuid.uuid4())
        self.metrics = Metrics(CollectorRegistry(), version="test")
        self.apps = Apps(self._app(name, apis[name]) for name in NAMES)
        self.path = self.path_of(self.apps)

    def _app(self, name: str, api: Sandbox) -> App:
        settings = AppSettings(
            name=name,
            account_id=f"account-{name}",
            app_id=f"app-{name}",
            api_token=Secret(f"token-of-{name}"),
            base_url=api.base_url,
            webhook_key_url=f"{api.base_url}/.well-known/webhooks.json",
            api_budget=(),
            follow_all=False,
            public_url=None,
        )
        return open_app(
            settings, timeout=20.0, retry=RequestRetry(attempts=1), metrics=self.metrics
        )

    def path_of(self, apps: Apps) -> CommandHandler:
        return CommandHandler(
            self.store,
            apps,
            LIMITS,
            owner="me",
            source="test",
            now=lambda: time.time() + self.ahead,
            max_command_bytes=10_000,
            metrics=self.metrics,
        )

    async def send(self, **command: Any) -> Settlement:
        return await self.send_to(self.path, **command)

    async def send_to(self, path: CommandHandler, /, **command: Any) -> Settlement:
        return await path.handle(Delivery(body=msgspec.json.encode(command), routing_key="x"))

    async def start(self, command_id: str, **more: Any) -> Settlement:
        return await self.send(
            type="start_track_recording", id=command_id, meeting_id=self.meeting, **more
        )

    async def outcome(self, command_id: str) -> tuple[str, dict[str, Any]]:
        """The short name of its outcome, and the data."""
        (pending,) = [
            pending
            for pending in await self.store.unsent(1000)
            if pending.subject == command_id and pending.exchange == "results"
        ]
        return pending.routing_key.partition(".")[2], msgspec.json.decode(pending.body)["data"]

    def started(self) -> dict[str, int]:
        return {name: len(api.request_log.started) for name, api in self.apis.items()}

    def asked(self, name: str) -> list[str]:
        return [request.operation for request in self.apis[name].request_log.requests]

    async def take_away(self, name: str) -> None:
        """Let the app's API refuse its token, until the worker's circuit breaker opens."""
        self.apis[name].tokens.revoke(f"token-of-{name}")
        await self.send(type="sync_recording", id=f"find-out-{name}", app=name, recording_id=ID)


ID = str(uuid.uuid4())


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        apis = {name: await stack.enter_async_context(Sandbox(SandboxOptions())) for name in NAMES}
        apis["eu"].tokens.revoke("token-of-us")
        apis["us"].tokens.revoke("token-of-eu")
        store = await Store.open(sqlite_url, source="test")
        stack.push_async_callback(store.close)
        bench = Bench(apis, store)
        for app in bench.apps:
            stack.push_async_callback(app.api.aclose)
        yield bench


async def test_a_command_goes_to_the_api_of_the_app_that_it_names(bench: Bench) -> None:
    assert await bench.start("start-1", app="us") == Ack()
    assert bench.started() == {"eu": 0, "us": 1}
    (known,) = await bench.store.recordings(RecordingsFilter(app="us"))
    assert known.start_id == "start-1"
    assert await bench.store.recordings(RecordingsFilter(app="eu")) == []


async def test_a_command_without_an_app_means_the_only_one_with_any_name(
    bench: Bench,
) -> None:
    eu, _ = bench.apps
    await bench.send_to(
        bench.path_of(Apps([eu])),
        type="start_track_recording",
        id="start-1",
        meeting_id=bench.meeting,
    )
    assert bench.started() == {"eu": 1, "us": 0}


async def test_of_several_apps_none_is_guessed(bench: Bench) -> None:
    assert await bench.start("start-1") == Ack()
    outcome, data = await bench.outcome("start-1")
    assert (outcome, data["code"], data["field"]) == ("rejected", "unknown_app", "app")
    assert data["message"].startswith("app must be named; configured apps: 'eu', 'us'")
    assert bench.started() == {"eu": 0, "us": 0}


async def test_a_command_for_an_app_that_is_not_configured_is_rejected(bench: Bench) -> None:
    assert await bench.start("start-1", app="asia") == Ack()
    outcome, data = await bench.outcome("start-1")
    assert (outcome, data["code"]) == ("rejected", "unknown_app")


async def test_a_start_in_doubt_is_not_rejected_by_a_worker_that_lacks_its_app(
    bench: Bench,
) -> None:
    bench.apis["us"].faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    await bench.start("start-1", app="us")
    eu, _ = bench.apps
    start = {"type": "start_track_recording", "id": "start-1", "meeting_id": bench.meeting}
    assert isinstance(await bench.send_to(bench.path_of(Apps([eu])), **start, app="us"), Retry)
    assert await bench.send(**start, app="us") == Ack()
    outcome, _data = await bench.outcome("start-1")
    assert (outcome, bench.started()) == ("succeeded", {"eu": 0, "us": 1})


async def test_a_start_in_doubt_does_not_keep_the_same_meeting_of_another_app_waiting(
    bench: Bench,
) -> None:
    bench.apis["us"].faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    assert isinstance(await bench.start("us-start", app="us"), Retry)
    assert await bench.start("eu-start", app="eu") == Ack()
    assert await bench.start("us-start", app="us") == Ack()
    of_us, of_eu = [(await bench.outcome(f"{name}-start"))[1] for name in ("us", "eu")]
    assert of_us["recording_ids"] != of_eu["recording_ids"]
    assert bench.started() == {"eu": 1, "us": 1}


async def test_stopping_a_meeting_neither_waits_for_nor_stops_another_app_s(bench: Bench) -> None:
    bench.apis["us"].faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    await bench.start("us-start", app="us")
    stop = {"type": "stop_recording", "id": "stop-1", "meeting_id": bench.meeting, "app": "eu"}
    assert await bench.send(**stop) == Ack()
    assert (await bench.outcome("stop-1"))[1]["recording_ids"] == []
    assert "stop" not in bench.asked("us")


@pytest.mark.parametrize(
    ("command", "by"),
    [
        ("stop_recording", "start_id"),
        ("stop_recording", "recording_id"),
        ("sync_recording", "recording_id"),
    ],
)
async def test_a_command_for_a_recording_of_another_app_is_rejected_as_wrong_app(
    bench: Bench, command: str, by: str
) -> None:
    await bench.start("start-1", app="us")
    recording_id = bench.apis["us"].request_log.started[0].recording_id
    target = {"start_id": "start-1", "recording_id": recording_id}[by]
    assert await bench.send(type=command, id="c", app="eu", **{by: target}) == Ack()
    outcome, data = await bench.outcome("c")
    assert (outcome, data["code"], data["field"]) == ("rejected", "wrong_app", "app")
    text = f"recording {recording_id} is of app 'us', and the command is for 'eu'"
    assert data["message"].startswith(text)
    assert bench.asked("eu") == []


# Faults of one app


async def test_while_one_app_is_unavailable_its_commands_are_postponed_and_others_executed(
    bench: Bench,
) -> None:
    await bench.take_away("eu")
    asked = len(bench.asked("eu"))
    async with asyncio.timeout(5):  # not one of them waits for the outage's pause
        put_off = await asyncio.gather(
            *(bench.start(f"eu-{number}", app="eu") for number in range(100))
        )
    assert {type(decision) for decision in put_off} == {Retry}
    assert len(bench.asked("eu")) <= asked + 1
    assert await bench.start("us-1", app="us") == Ack()
    assert bench.started() == {"eu": 0, "us": 1}


async def test_postponing_a_command_uses_up_no_attempt(bench: Bench) -> None:
    await bench.take_away("eu")
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    assert isinstance(await bench.start("eu-1", app="eu", deadline=deadline), Retry)

    bench.ahead = 60
    assert await bench.start("eu-1", app="eu", deadline=deadline) == Ack()

    outcome, data = await bench.outcome("eu-1")
    assert (outcome, data["attempts"]) == ("expired", 0)


async def test_a_postponed_command_is_executed_when_its_api_works_again(bench: Bench) -> None:
    await bench.take_away("eu")
    await bench.start("eu-1", app="eu")
    bench.apis["eu"].tokens.allow("token-of-eu")
    for app in bench.apps:
        app.breaker.record(None)
    assert await bench.start("eu-1", app="eu") == Ack()
    assert (await bench.outcome("eu-1"))[0] == "succeeded"


async def test_one_command_of_an_app_finds_out_that_its_api_is_back(
    bench: Bench, eventually: Any
) -> None:
    await bench.take_away("eu")
    bench.apis["eu"].tokens.allow("token-of-eu")

    async def is_executed() -> bool:
        return await bench.start("eu-1", app="eu") == Ack()

    await eventually(is_executed)
    assert not bench.apps.all_circuits_open()
    assert [app.breaker.is_open for app in bench.apps] == [False, False]


async def test_a_command_whose_time_is_over_ends_though_its_app_is_unavailable(
    bench: Bench,
) -> None:
    await bench.take_away("eu")
    assert await bench.start("eu-1", app="eu", deadline="2001-01-01T00:00:00Z") == Ack()
    assert (await bench.outcome("eu-1"))[0] == "expired"


# A stop that arrives before the start


async def stop_in_advance(bench: Bench, app: str, command_id: str = "stop") -> Settlement:
    return await bench.send(type="stop_recording", id=command_id, app=app, start_id="later")


@pytest.mark.parametrize("minutes", [0, 120])
async def test_a_stop_in_advance_cancels_no_start_of_another_app(
    bench: Bench, minutes: int
) -> None:
    assert await stop_in_advance(bench, "eu") == Ack()
    bench.ahead = minutes * 60.0
    assert await bench.start("later", app="us") == Ack()
    assert (await bench.outcome("later"))[0] == "succeeded"
    assert bench.started() == {"eu": 0, "us": 1}


async def test_a_stop_in_advance_cancels_the_start_of_its_app(bench: Bench) -> None:
    await stop_in_advance(bench, "eu")
    assert await bench.start("later", app="eu") == Ack()
    assert (await bench.outcome("later"))[1]["code"] == "cancelled"


@pytest.mark.parametrize("app", NAMES)
async def test_stops_in_advance_of_two_apps_cancel_the_start_of_either(
    bench: Bench, app: str
) -> None:
    for name in NAMES:
        await stop_in_advance(bench, name, f"stop-{name}")
    assert await bench.start("later", app=app) == Ack()
    assert (await bench.outcome("later"))[1]["code"] == "cancelled"
    assert bench.started() == {"eu": 0, "us": 0}


async def test_a_stop_in_advance_does_not_age_another_command_of_the_id(bench: Bench) -> None:
    await stop_in_advance(bench, "eu")
    bench.ahead = 7200.0
    pause = {"type": "pause_recording", "id": "later", "app": "eu", "start_id": "start-1"}
    assert isinstance(await bench.send(**pause), Retry)
