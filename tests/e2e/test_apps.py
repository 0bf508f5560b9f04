"""One worker process with two apps: each with a separate API, followed at the same time."""

import json
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.recording import StartRequest
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import (
    CommandRejected,
    CommandSucceeded,
    Completed,
    Status,
    StatusChanged,
)
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.integration.tracking_bench import client

TOKENS = {"eu": "token-of-europe", "us": "token-of-america"}


@pytest.mark.slow
async def test_a_refused_token_of_one_app_does_not_stop_the_other_app(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    token, apps = tmp_path / "eu-token", tmp_path / "apps.json"
    token.write_text("revoked-token-of-europe")
    async with Sandbox(SandboxOptions(speed=5.0, seed=2)) as other:
        fields = {"account_id": "account", "app_id": "app", "base_url": other.base_url}
        eu = {**fields, "app_id": "eu", "api_token_file": str(token)}
        us = {**fields, "app_id": "us", "api_token": TOKENS["us"]}
        apps.write_text(json.dumps({"eu": eu, "us": us}))
        other.tokens.revoke("revoked-token-of-europe")
        async with open_worker_environment(
            rabbitmq.amqp_url,
            names_prefix,
            tmp_path,
            WORKER_APPS_FILE=str(apps),
        ) as environment:
            await start_everywhere(environment)
            for name in ("default", "us"):
                assert isinstance(
                    (await environment.outcome(f"start-{name}")).data, CommandSucceeded
                )
                await environment.send(
                    type="stop_recording", id=f"stop-{name}", start_id=f"start-{name}", app=name
                )
                completed = await environment.event(Completed, start_id=f"start-{name}")
                assert isinstance(completed.data, Completed)
                assert completed.data.file_count == 3

            status, report = await environment.worker.probe("/readyz")
            failing = {name for name, check in report["checks"].items() if not check["ok"]}
            assert (status, failing) == (200, {"api/eu"})
            _, metrics = await environment.worker.probe("/metrics")
            assert 'recording_worker_api_circuit_open{app="eu"} 1.0' in metrics
            assert 'recording_worker_api_circuit_open{app="us"} 0.0' in metrics

            token.write_text(TOKENS["eu"])
            assert isinstance((await environment.outcome("start-eu")).data, CommandSucceeded)

            async def is_well_again() -> bool:
                return all(check["ok"] for check in (await readiness(environment)).values())

            await eventually(is_well_again)
            assert await environment.worker.stop() == 0
            log = environment.worker.log.read_text()
            assert '"event":"command"' in log
            assert not [secret for secret in (*TOKENS.values(), "revoked-token") if secret in log]


async def test_the_webhooks_of_each_app_have_their_own_url_and_key(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    apps = tmp_path / "apps.json"
    (port,) = free_ports(1)
    public = f"http://127.0.0.1:{port}"
    async with Sandbox(SandboxOptions(speed=5.0, seed=2)) as other:
        eu = {
            "account_id": "account-eu",
            "app_id": "eu",
            "api_token": TOKENS["eu"],
            "base_url": other.base_url,
            "webhook_key_url": other.webhook_key_url,
        }
        apps.write_text(json.dumps({"eu": eu}))
        async with open_worker_environment(
            rabbitmq.amqp_url,
            names_prefix,
            tmp_path,
            WORKER_APPS_FILE=str(apps),
            WORKER_SWEEP_INTERVAL_SECONDS="3600",
            WORKER_PUBLIC_URL=public,
            HTTP_PORT=str(port),
        ) as environment:
            at = {"default": (environment.sandbox, "app", ""), "eu": (other, "eu", "?app=eu")}
            for name, (api, app_id, query) in at.items():
                await eventually(partial(registered, api, app_id))
                urls = [f"{public}/webhooks/realtimekit{query}"]
                assert await registered(api, app_id) == urls
                await environment.start(f"start-{name}", app=name)
                event = await environment.event(
                    StatusChanged, start_id=f"start-{name}", status=Status.RECORDING
                )
                assert isinstance(event.data, StatusChanged)
                assert event.data.observed_by == "webhook"


async def registered(api: Sandbox, app_id: str) -> list[str]:
    """Where this API was asked to send an app's webhooks."""
    asking = client(base_url=api.base_url, app_id=app_id)
    try:
        return [webhook.url for webhook in await asking.list_webhooks()]
    finally:
        await asking.aclose()


@pytest.mark.parametrize("app", ["default", "eu"])
async def test_external_recordings_are_followed_if_enabled_and_yield_to_commands(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually, app: str
) -> None:
    apps = tmp_path / "apps.json"
    eu = {"account_id": "account", "app_id": "eu", "api_token": TOKENS["eu"]}
    apps.write_text(json.dumps({"eu": {**eu, "follow_all": app == "eu"}}))
    async with open_worker_environment(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        WORKER_APPS_FILE=str(apps),
        WORKER_FOLLOW_ALL="true" if app == "default" else "false",
    ) as environment:
        others = {name: begun_by_somebody_else(environment.sandbox, name) for name in ("app", "eu")}
        external_id = others["eu" if app == "eu" else "app"]
        await environment.event(StatusChanged, recording_id=external_id, status=Status.RECORDING)
        recordings = environment.sandbox.recordings
        for recording_id in others.values():
            recordings.stop(recordings.index.get(recording_id))
        await environment.event(Completed, recording_id=external_id, start_id=None)
        assert {event.subject for event in environment.messages.events} == {external_id}

        async def all_is_paid_as_it_should_be() -> bool:
            _, metrics = await environment.worker.probe("/metrics")
            listed = len(environment.requests("list_recordings"))
            read = len(environment.sandbox.request_log.requests) - listed
            return read > 0 and paid(metrics) == {"sweep": listed, "read": read}

        await eventually(all_is_paid_as_it_should_be)


def begun_by_somebody_else(api: Sandbox, app_id: str) -> str:
    request = StartRequest(kind="track", app_id=app_id, meeting_id=str(uuid.uuid4()))
    return api.recordings.start(request).id


def paid(metrics: str) -> dict[str, float]:
    """The number of paid API requests, by priority."""
    (waits,) = (
        family
        for family in text_string_to_metric_families(metrics)
        if family.name == "recording_worker_api_budget_wait_seconds"
    )
    return {
        sample.labels["priority"]: sample.value
        for sample in waits.samples
        if sample.name.endswith("_count")
    }


async def start_everywhere(environment: WorkerEnvironment) -> None:
    """Start a recording of the same meeting in each app. The app `asia` is not configured."""
    for name in ("default", "eu", "us", "asia"):
        await environment.start(f"start-{name}", app=name)
    unknown = (await environment.outcome("start-asia")).data
    assert isinstance(unknown, CommandRejected)
    text = "app 'asia' is not configured; configured apps: 'default', 'eu', 'us'"
    assert unknown.message.startswith(text)


async def readiness(environment: WorkerEnvironment) -> dict[str, Any]:
    checks: dict[str, Any] = (await environment.worker.probe("/readyz"))[1]["checks"]
    return checks
