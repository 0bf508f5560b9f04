"""What the probes and the metrics say, while the things they speak of come and go."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from recording_schemas import CommandSucceeded
from sandbox.demo.messages import Messages
from sandbox.faults import Fault
from sandbox.postgresql import PostgreSQLServer
from sandbox.rabbitmq import RabbitMQNode
from sandbox.waiting import Eventually
from tests.e2e.processes import Scene, scene


async def test_without_the_broker_it_is_alive_and_not_ready_and_goes_on_by_itself_afterwards(
    private_rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    node = private_rabbitmq
    async with scene(node.amqp_url, names_prefix, tmp_path) as stage:
        await asyncio.to_thread(node.stop)

        async def names_the_broker() -> bool:
            status, told = await stage.worker.probe("/readyz")
            assert status == 503
            assert {"publishing", "consuming"} <= {k for k, v in told["checks"].items() if v["why"]}
            return True

        await eventually(names_the_broker)
        assert (await stage.worker.probe("/livez"))[0] == 200
        await asyncio.to_thread(node.start)
        await stage.worker.ready()
        async with Messages(node.amqp_url, names_prefix) as messages:
            after = Scene(stage.sandbox, stage.worker, messages)
            await after.start()
            assert isinstance((await after.outcome("start-1")).data, CommandSucceeded)


async def test_a_revoked_token_makes_it_unready_and_a_good_one_lets_the_command_through(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    token = tmp_path / "token"
    token.write_text("revoked")
    async with scene(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        REALTIMEKIT_API_TOKEN="",
        REALTIMEKIT_API_TOKEN_FILE=str(token),
    ) as stage:
        stage.sandbox.tokens.revoke("revoked")
        await stage.start()

        async def names_the_api() -> bool:
            status, told = await stage.worker.probe("/readyz")
            assert status == 503
            return bool(told["checks"]["api"]["why"])

        await eventually(names_the_api)
        assert stage.messages.events == []
        token.write_text("good")
        assert isinstance((await stage.outcome("start-1")).data, CommandSucceeded)
        await stage.worker.ready()


async def test_without_its_database_it_is_alive_and_not_ready_and_goes_on_by_itself_afterwards(
    rabbitmq: RabbitMQNode,
    private_postgresql: PostgreSQLServer,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    database = private_postgresql
    more: dict[str, Any] = {"DATABASE_URL": database.new_database()}
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path, **more) as stage:
        await asyncio.to_thread(database.stop)
        await eventually(lambda: unready(stage, "store"))
        assert (await stage.worker.probe("/livez"))[0] == 200
        await asyncio.to_thread(database.start)
        await stage.worker.ready()
        await stage.start()
        assert isinstance((await stage.outcome("start-1")).data, CommandSucceeded)


async def test_started_while_its_database_is_away_it_is_alive_and_begins_when_that_is_back(
    rabbitmq: RabbitMQNode,
    private_postgresql: PostgreSQLServer,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    database = private_postgresql
    more: dict[str, Any] = {"DATABASE_URL": database.new_database()}
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path, **more) as stage:
        await stage.worker.stop()
        await asyncio.to_thread(database.stop)
        await stage.worker.start()
        await eventually(lambda: unready(stage, "store"))
        assert (await stage.worker.probe("/livez"))[0] == 200
        await asyncio.to_thread(database.start)
        await stage.worker.ready()
        await stage.start()
        assert isinstance((await stage.outcome("start-1")).data, CommandSucceeded)


async def test_without_the_api_it_is_alive_and_not_ready_and_goes_on_by_itself_afterwards(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path) as stage:
        fault = stage.sandbox.faults.add(Fault(kind="refuse", status=503))
        await stage.start()
        await eventually(lambda: unready(stage, "api"))
        assert (await stage.worker.probe("/livez"))[0] == 200
        stage.sandbox.faults.clear(fault)
        assert isinstance((await stage.outcome("start-1")).data, CommandSucceeded)
        await stage.worker.ready()


async def test_a_process_that_is_stuck_answers_no_probe_until_it_goes_on(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path) as stage:
        stage.worker.signal(signal.SIGSTOP)
        assert (await stage.worker.probe("/livez"))[0] == 0
        stage.worker.signal(signal.SIGCONT)
        status, told = await stage.worker.probe("/livez")
        assert status == 200
        assert told["checks"].keys() == {"relay", "housekeeping"}


async def unready(stage: Scene, check: str) -> bool:
    """Whether readiness names this check as its reason, and no other."""
    status, told = await stage.worker.probe("/readyz")
    assert status == 503
    assert [name for name, one in told["checks"].items() if one["why"]] == [check]
    return True


async def test_the_metrics_count_what_was_done(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path, speed=0.01) as stage:
        await stage.start()
        await stage.outcome("start-1")
        await stage.messages.send_raw(b"{", routing_key="x")

        async def counted() -> bool:
            samples = await scraped(stage)
            assert samples["recording_worker_commands_received_total"] == 2
            assert samples["recording_worker_commands_settled_total"] == 2
            assert samples["recording_worker_dead_letters_total"] == 1
            assert samples["recording_worker_events_published_total"] == 3
            assert samples["recording_worker_recordings"] == 1
            assert samples["recording_worker_outbox_events"] == 0
            assert samples["recording_worker_leader"] == 1
            assert samples["recording_worker_ready"] == 4
            assert samples["recording_worker_command_queue_seconds_count"] == 2
            assert samples["recording_worker_command_critical_seconds_count"] == 2
            assert samples["recording_worker_api_budget_wait_seconds_count"] > 0
            assert samples["recording_worker_event_publish_delay_seconds_count"] == 3
            assert samples["recording_worker_recordings_oldest_unchanged_seconds"] > 0
            return True

        await eventually(counted)


async def scraped(stage: Scene) -> dict[str, float]:
    """Every metric, summed over its labels."""
    _, text = await stage.worker.probe("/metrics")
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    return totals
