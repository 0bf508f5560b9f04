"""A worker whose broker has several hosts, or whose user has fewer rights than it needs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.fault.tcp_proxy import TcpProxy

PASSWORD = "sesame-opens"  # noqa: S105 - of a user of this test


@pytest.fixture
def user_url(rabbitmq: RabbitMQNode, names_prefix: str) -> Iterator[str]:
    """The shared broker, for a user of this test."""
    rabbitmq.add_user(names_prefix, PASSWORD)
    yield f"amqp://{names_prefix}:{PASSWORD}@127.0.0.1:{rabbitmq.port}/"
    rabbitmq.delete_user(names_prefix)


async def publishing_reason(environment: WorkerEnvironment) -> str:
    _, answer = await environment.worker.probe("/readyz")
    return str(answer["checks"]["publishing"]["reason"]) if isinstance(answer, dict) else ""


async def test_without_the_right_to_declare_the_setting_is_named_and_sigterm_ends_the_worker(
    rabbitmq: RabbitMQNode,
    user_url: str,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    async with open_worker_environment(user_url, names_prefix, tmp_path, speed=1.0) as environment:
        await environment.start()
        await environment.outcome("start-1")
        await environment.worker.stop()
        rabbitmq.set_permissions(names_prefix, configure="^$", write=".*", read=".*")
        await environment.worker.start()

        async def setting_is_named() -> bool:
            return "WORKER_TOPOLOGY=verify" in await publishing_reason(environment)

        async def events_wait() -> bool:
            _, metrics = await environment.worker.probe("/metrics")
            return "recording_worker_outbox_events 0.0" not in metrics

        await eventually(setting_is_named, seconds=20)
        await eventually(events_wait, seconds=40)
        began = time.monotonic()
        assert await environment.worker.stop() == 0
        assert time.monotonic() - began < 6
        log = environment.worker.log.read_text()
        rabbitmq.set_permissions(names_prefix, configure=".*", write=".*", read=".*")
    assert "WORKER_TOPOLOGY=verify" in log
    assert PASSWORD not in log


async def test_a_right_that_is_granted_later_is_enough(
    rabbitmq: RabbitMQNode,
    user_url: str,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    async with open_worker_environment(user_url, names_prefix, tmp_path) as environment:
        await environment.worker.stop()
        rabbitmq.set_permissions(names_prefix, configure="^$", write=".*", read=".*")
        await environment.worker.start()

        async def setting_is_named() -> bool:
            return "WORKER_TOPOLOGY=verify" in await publishing_reason(environment)

        await eventually(setting_is_named, seconds=20)
        rabbitmq.set_permissions(names_prefix, configure=".*", write=".*", read=".*")
        await environment.worker.ready()
        await environment.start()
        assert isinstance((await environment.outcome("start-1")).data, CommandSucceeded)


async def test_commands_are_executed_on_the_next_host_after_one_is_lost(
    rabbitmq: RabbitMQNode, user_url: str, names_prefix: str, tmp_path: Path
) -> None:
    port = urlsplit(rabbitmq.amqp_url).port or 0
    async with TcpProxy(port) as first, TcpProxy(port) as second:
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = user_url.replace(f"127.0.0.1:{port}", hosts)
        prefix = names_prefix
        environment_url = rabbitmq.amqp_url
        async with open_worker_environment(
            environment_url, prefix, tmp_path, AMQP_URL=url, LOG_LEVEL="debug"
        ) as environment:
            await environment.start("a")
            await environment.outcome("a")
            assert second.accepted == 0
            first.refuse()
            first.cut()
            await environment.start("b", meeting_id="5f0e2f5c-9b1d-4a53-8f3f-2f8f1e0c7b11")
            await environment.outcome("b")
            assert (first.open_connections, second.open_connections > 0) == (0, True)
            lines = environment.worker.log.read_text().splitlines()
    lost = [json.loads(line) for line in lines if "broker_connection_lost" in line]
    assert {line["host"] for line in lost} == {f"127.0.0.1:{first.port}"}
    assert PASSWORD not in "".join(lines)
