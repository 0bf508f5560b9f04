"""The answers of probes and metrics while dependencies fail and return."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded
from tests.e2e.dependency_outages import OUTAGES, DependencyOutage
from tests.e2e.stuck_relay_worker import STUCK_RELAY_MODULE
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment


@pytest.mark.parametrize("kind", OUTAGES, ids=lambda kind: kind.__name__)
async def test_an_outage_fails_its_readiness_checks_but_not_liveness_and_the_worker_survives(
    kind: type[DependencyOutage],
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
    request: pytest.FixtureRequest,
) -> None:
    outage = kind(request)
    url = outage.broker.amqp_url
    async with (
        outage.resources,
        open_worker_environment(url, names_prefix, tmp_path, **settings_of(outage)) as environment,
    ):
        await outage.begin(environment)
        await eventually(lambda: unready(environment, *outage.unready))
        assert (await environment.worker.probe("/livez"))[0] == 200
        await outage.end(environment)
        await environment.worker.ready()
        async with WorkerClient(url, names_prefix) as messages:
            after = WorkerEnvironment(environment.sandbox, environment.worker, messages)
            await after.start("after")
            assert isinstance((await after.outcome("after")).data, CommandSucceeded)


def settings_of(outage: DependencyOutage) -> dict[str, Any]:
    """Any, because an environment has further arguments besides the settings."""
    return outage.settings


async def test_a_worker_that_starts_without_its_database_is_alive_and_begins_when_it_returns(
    rabbitmq: RabbitMQNode,
    private_postgresql: PostgreSQLServer,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    database = private_postgresql
    more: dict[str, Any] = {"DATABASE_URL": database.new_database()}
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, **more
    ) as environment:
        await environment.worker.stop()
        await asyncio.to_thread(database.stop)
        await environment.worker.start()
        await eventually(lambda: unready(environment, "store"))
        assert (await environment.worker.probe("/livez"))[0] == 200
        await asyncio.to_thread(database.start)
        await environment.worker.ready()
        await environment.start()
        assert isinstance((await environment.outcome("start-1")).data, CommandSucceeded)


async def test_a_stuck_loop_fails_liveness_by_its_name_until_it_runs_again(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with stuck_scene(rabbitmq, names_prefix, tmp_path) as environment:
        (tmp_path / "stuck").write_text("waits")

        async def dead_by_its_relay() -> bool:
            status, liveness = await environment.worker.probe("/livez")
            checks = liveness["checks"].items()
            assert [name for name, check in checks if check["reason"]] == ["relay"]
            return status == 503

        await eventually(dead_by_its_relay)
        assert await unready(environment)
        (tmp_path / "stuck").unlink()
        await eventually(lambda: alive(environment))


async def test_a_blocked_event_loop_answers_no_probe_until_it_continues(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with stuck_scene(rabbitmq, names_prefix, tmp_path) as environment:
        (tmp_path / "stuck").write_text("blocks")

        async def times_out() -> bool:
            status, why = await environment.worker.probe("/livez")
            return status == 0 and "TimeoutError" in why

        await eventually(times_out)
        (tmp_path / "stuck").unlink()
        await eventually(lambda: alive(environment))


def stuck_scene(
    rabbitmq: RabbitMQNode, prefix: str, directory: Path
) -> AbstractAsyncContextManager[WorkerEnvironment]:
    """An environment with a worker that can be stuck."""
    more: dict[str, Any] = {"WORKER_PUBLISH_TIMEOUT_SECONDS": "0.3"}
    return open_worker_environment(
        rabbitmq.amqp_url, prefix, directory, module=STUCK_RELAY_MODULE, **more
    )


async def alive(environment: WorkerEnvironment) -> bool:
    """Whether the liveness probe succeeds."""
    return (await environment.worker.probe("/livez"))[0] == 200


async def unready(environment: WorkerEnvironment, *checks: str) -> bool:
    """Whether the readiness probe names exactly these checks. Without checks, it must succeed."""
    status, readiness = await environment.worker.probe("/readyz")
    assert status == (503 if checks else 200)
    assert {name for name, check in readiness["checks"].items() if check["reason"]} == {*checks}
    return True


async def test_the_metrics_count_the_work(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, speed=0.01
    ) as environment:
        await environment.start()
        await environment.outcome("start-1")
        await environment.messages.send_raw(b"{", routing_key="x")

        async def counted() -> bool:
            samples = await scraped(environment)
            assert samples["recording_worker_commands_received_total"] == 2
            assert samples["recording_worker_commands_completed_total"] == 2
            assert samples["recording_worker_dead_letters_total"] == 1
            assert samples["recording_worker_events_published_total"] == 3
            assert samples["recording_worker_recordings"] == 1
            assert samples["recording_worker_outbox_events"] == 0
            assert samples["recording_worker_leader"] == 1
            assert samples["recording_worker_ready"] == 5
            assert samples["recording_worker_command_queue_seconds_count"] == 2
            assert samples["recording_worker_command_outcome_delay_seconds_count"] == 2
            assert samples["recording_worker_api_budget_wait_seconds_count"] > 0
            assert samples["recording_worker_event_publish_delay_seconds_count"] == 3
            assert samples["recording_worker_recordings_oldest_unchanged_seconds"] > 0
            return True

        await eventually(counted)


async def scraped(environment: WorkerEnvironment) -> dict[str, float]:
    """Every metric, summed over its labels."""
    _, text = await environment.worker.probe("/metrics")
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    return totals
