"""One worker process with two apps: each at an API of its own, followed side by side."""

import json
from pathlib import Path
from typing import Any

import pytest

from recording_schemas import CommandRejected, CommandSucceeded, Completed
from sandbox.rabbitmq import RabbitMQNode
from sandbox.server import Sandbox, SandboxOptions
from sandbox.waiting import Eventually
from tests.e2e.processes import Scene, scene

TOKENS = {"eu": "token-of-europe", "us": "token-of-america"}


@pytest.mark.slow
async def test_one_app_s_refused_token_leaves_the_other_working_until_the_token_is_replaced(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    token, apps = tmp_path / "eu-token", tmp_path / "apps.json"
    token.write_text("revoked-token-of-europe")
    async with Sandbox(SandboxOptions(speed=5.0, seed=2)) as other:
        members = {"account_id": "account", "app_id": "app", "base_url": other.base_url}
        eu = {**members, "app_id": "eu", "api_token_file": str(token)}
        us = {**members, "app_id": "us", "api_token": TOKENS["us"]}
        apps.write_text(json.dumps({"eu": eu, "us": us}))
        other.tokens.revoke("revoked-token-of-europe")
        async with scene(
            rabbitmq.amqp_url,
            names_prefix,
            tmp_path,
            WORKER_APPS_FILE=str(apps),
        ) as stage:
            await start_everywhere(stage)
            for name in ("default", "us"):
                assert isinstance((await stage.outcome(f"start-{name}")).data, CommandSucceeded)
                await stage.send(
                    type="stop_recording", id=f"stop-{name}", start_id=f"start-{name}", app=name
                )
                done = await stage.event(Completed, start_id=f"start-{name}")
                assert isinstance(done.data, Completed)
                assert done.data.file_count == 3

            status, told = await stage.worker.probe("/readyz")
            troubled = {name for name, one in told["checks"].items() if not one["ok"]}
            assert (status, troubled) == (200, {"api/eu"})
            _, metrics = await stage.worker.probe("/metrics")
            assert 'recording_worker_api_away{app="eu"} 1.0' in metrics
            assert 'recording_worker_api_away{app="us"} 0.0' in metrics

            token.write_text(TOKENS["eu"])
            assert isinstance((await stage.outcome("start-eu")).data, CommandSucceeded)

            async def is_well_again() -> bool:
                return all(one["ok"] for one in (await readiness(stage)).values())

            await eventually(is_well_again)
            assert await stage.worker.stop() == 0
            log = stage.worker.log.read_text()
            assert '"event":"command"' in log
            assert not [one for one in (*TOKENS.values(), "revoked-token") if one in log]


async def start_everywhere(stage: Scene) -> None:
    """The same meeting in every app; and in one that is not there."""
    for name in ("default", "eu", "us", "asia"):
        await stage.start(f"start-{name}", app=name)
    unknown = (await stage.outcome("start-asia")).data
    assert isinstance(unknown, CommandRejected)
    assert unknown.message == "app 'asia' is not configured; here are 'default', 'eu', 'us'"


async def readiness(stage: Scene) -> dict[str, Any]:
    checks: dict[str, Any] = (await stage.worker.probe("/readyz"))[1]["checks"]
    return checks
