"""RabbitMQ as the chart expects it: TLS with a private authority, users with few permissions."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import ensure_rabbitmq
from recording_sandbox.services.rabbitmq_local import LocalNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandExpired, CommandRejected, Completed
from tests.e2e.worker_environment import settings
from tests.helm.bubblewrap_pod import Pod
from tests.helm.certificates import Authority
from tests.helm.chart import CHART, MINIMAL, container, manifests, merged, of_kind, only
from worker.broker.topology import Topology

CERTIFICATES: Final = "/run/secrets/recording-worker/amqp-tls"
OPERATOR: Final = {
    "topologyOperator": {
        "enabled": True,
        "cluster": {"name": "rabbit"},
        "user": {"credentialsSecret": "worker"},
    }
}


class Tls:
    """A broker's TLS port that requires client certificates of `authority`."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority()
        server = self.authority.pair("broker")
        (self.port,) = free_ports(1)
        texts = {"ca": self.authority.certificate, "cert": server.certificate, "key": server.key}
        for name, text in texts.items():
            (directory / f"{name}.pem").write_text(text)
        self.configuration = f"""
            listeners.ssl.local = 127.0.0.1:{self.port}
            ssl_options.cacertfile = {directory / "ca.pem"}
            ssl_options.certfile = {directory / "cert.pem"}
            ssl_options.keyfile = {directory / "key.pem"}
            ssl_options.verify = verify_peer
            ssl_options.fail_if_no_peer_cert = true
        """.replace("            ", "")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def broker(tls: Tls) -> Iterator[RabbitMQNode]:
    """A broker with TLS."""
    scripts = ensure_rabbitmq()
    assert scripts is not None, "a broker in docker is not set up here for TLS"
    with LocalNode(scripts, configuration=tls.configuration) as node:
        yield node


def queues(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Arguments of the queues that the operator declares, by name. The type is one of them."""
    return {
        queue["spec"]["name"]: {
            "x-queue-type": queue["spec"]["type"],
            **queue["spec"].get("arguments", {}),
        }
        for queue in of_kind(found, "Queue")
    }


@pytest.mark.parametrize("delays", ["5,30,120,600", "0.5, 7.25,86400", "10"])
@pytest.mark.parametrize("prefix", ["recording", "eu.staging_1"])
def test_the_operator_declares_all_that_the_worker_needs(prefix: str, delays: str) -> None:
    chosen = {"WORKER_NAME_PREFIX": prefix, "WORKER_RETRY_DELAYS_SECONDS": delays}
    found = manifests(merged(MINIMAL, OPERATOR, {"settings": chosen}))
    needed = Topology(prefix=prefix, retry_delays=tuple(float(step) for step in delays.split(",")))
    assert queues(found) == {queue.name: queue.arguments for queue in needed.queues}
    exchanges = {
        exchange["spec"]["name"]: exchange["spec"]["type"]
        for exchange in of_kind(found, "Exchange")
    }
    assert exchanges == {name: kind.value for name, kind in needed.exchanges.items()}
    bindings = {
        (binding["spec"]["source"], binding["spec"]["destination"], binding["spec"]["routingKey"])
        for binding in of_kind(found, "Binding")
    }
    assert bindings == {
        (queue.exchange, queue.name, queue.binding) for queue in needed.queues if queue.exchange
    }
    assert all(
        entity["spec"]["durable"]
        for kind in ("Queue", "Exchange")
        for entity in of_kind(found, kind)
    )


def test_queues_stay_when_the_release_is_uninstalled() -> None:
    for manifest in manifests(merged(MINIMAL, OPERATOR)):
        if manifest["kind"] in {"Queue", "Exchange", "Binding"}:
            assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def documented(purpose: str) -> list[str]:
    """The permission patterns in the README for this mode: configure, write, read."""
    (line,) = re.findall(
        rf"rabbitmqctl set_permissions .*# {purpose}$",
        (CHART / "README.md").read_text().replace("\\\n", ""),
        re.MULTILINE,
    )
    return shlex.split(line, comments=True)[-3:]


def test_the_readme_and_the_operator_grant_the_same_permissions() -> None:
    allowed = only(manifests(merged(MINIMAL, OPERATOR)), "Permission")["spec"]["permissions"]
    assert documented("verify") == [allowed["configure"], allowed["write"], allowed["read"]]


@pytest.mark.parametrize("purpose", ["declare", "verify"])
async def test_a_worker_works_with_the_permissions_in_the_readme(
    purpose: str, broker: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    patterns = [pattern.replace("recording", names_prefix) for pattern in documented(purpose)]
    configure, write, read = patterns
    broker.add_user(names_prefix, "password")
    broker.set_permissions(names_prefix, configure=configure, write=write, read=read)
    if purpose == "verify":
        await declare(broker.amqp_url, names_prefix)
    url = broker.amqp_url.replace("guest:guest", f"{names_prefix}:password")
    async with Sandbox(SandboxOptions(speed=20.0, seed=1)) as sandbox:
        environ = settings(url, names_prefix, sandbox, WORKER_TOPOLOGY=purpose)
        worker = WorkerProcess(environ, tmp_path)
        await worker.start()
        try:
            await worker.ready()
            async with WorkerClient(broker.amqp_url, names_prefix) as messages:
                await use_everything(messages)
        finally:
            await worker.stop()
    assert "ACCESS_REFUSED" not in worker.log.read_text()


async def declare(amqp_url: str, prefix: str) -> None:
    """Declare the topology, as the operator or an administrator would."""
    from worker.broker.admin.one_shot import connect, declare_once

    async with connect(amqp_url, "test") as connection:
        await declare_once(connection, Topology(prefix=prefix, retry_delays=(0.2, 1.0, 5.0)))


async def use_everything(messages: WorkerClient) -> None:
    """Send commands until one was executed, one expired after retries, and one is a dead letter."""
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    meeting = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
    commands: list[dict[str, str]] = [
        {"type": "start_track_recording", "id": "start", "meeting_id": meeting},
        {"type": "stop_recording", "id": "stop", "start_id": "start"},
        {"type": "stop_recording", "id": "early", "start_id": "unknown", "deadline": soon},
        {"type": "start_track_recording", "id": "wrong", "meeting": meeting},
    ]
    for command in commands:
        await messages.send_raw(json.dumps(command).encode(), routing_key=command["type"])
    for kind in (Completed, CommandExpired, CommandRejected):

        def has_kind(events: list[Any], kind: type = kind) -> bool:
            return any(isinstance(event.data, kind) for event in events)

        await messages.until(has_kind, within=20, description=kind.__name__)


@pytest.mark.usefixtures("bubblewrap")
async def test_broker_and_database_connections_use_tls_with_a_private_authority(
    tls: Tls,
    broker: RabbitMQNode,
    private_postgresql: PostgreSQLServer,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    database = Authority("another authority")
    encrypt(private_postgresql, database)
    client = tls.authority.pair("worker")
    values = {
        "rabbitmq": {"tls": {"existingSecret": "tls", "certKey": "tls.crt", "keyKey": "tls.key"}},
        "database": {"tls": {"existingSecret": "database-tls"}},
        "settings": {"WORKER_NAME_PREFIX": names_prefix},
    }
    files = "&".join(
        f"{name}={CERTIFICATES}/{file}"
        for name, file in {"cafile": "ca.crt", "certfile": "tls.crt", "keyfile": "tls.key"}.items()
    )
    certificates = {
        "ca.crt": tls.authority.certificate,
        "tls.crt": client.certificate,
        "tls.key": client.key,
    }
    secrets = {
        "broker": {"amqp-url": f"amqps://guest:guest@127.0.0.1:{tls.port}/?{files}"},
        "tls": certificates,
        "postgres": {"database-url": private_postgresql.url},
        "database-tls": {"ca.crt": database.certificate},
        "api": {"api-token": "token"},
    }
    (port,) = free_ports(1)
    found = manifests(merged(MINIMAL, values, {"service": {"port": port}}))
    with Pod(found, secrets, tmp_path) as running:
        declared = running.run(
            container(found), command=("recording-worker", "topology", "declare")
        )
        assert await declared.ended() == 0, declared.output
        worker = running.run(container(found))
        await eventually(
            lambda: encrypted_sessions(private_postgresql), seconds=30, description=worker.output
        )

        running.change_secret("tls", {**certificates, "ca.crt": database.certificate})
        refused = running.run(container(found), command=("recording-worker", "topology", "check"))
        assert await refused.ended() == 1
        assert "CERTIFICATE_VERIFY_FAILED" in refused.output


def encrypt(server: PostgreSQLServer, authority: Authority) -> None:
    """Turn on TLS on the server, with a certificate of this authority."""
    pair = authority.pair("database")
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name, text in {"server.crt": pair.certificate, "server.key": pair.key}.items():
            copy = sql.SQL("COPY (SELECT unnest({}::text[])) TO PROGRAM {}").format(
                sql.Literal(text.splitlines()), sql.Literal(f"umask 077; cat > {name}")
            )
            connection.execute(copy)
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")


def encrypted_sessions(server: PostgreSQLServer) -> int:
    """The number of TLS sessions on the server."""
    with psycopg.connect(f"{server.url}?sslmode=disable") as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_ssl WHERE ssl").fetchone()
    assert found is not None
    return int(found[0])
