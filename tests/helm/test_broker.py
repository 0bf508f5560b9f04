"""RabbitMQ as the chart wants it: TLS with a private authority, and users that may no more than
they must."""

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

from recording_schemas import CommandExpired, CommandRejected, Completed
from sandbox.api.options import SandboxOptions
from sandbox.api.server import Sandbox
from sandbox.demo.worker_client import WorkerClient
from sandbox.demo.worker_process import WorkerProcess
from sandbox.services.ports import free_ports
from sandbox.services.postgresql import PostgreSQLServer
from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.services.rabbitmq_launch import ensure_rabbitmq
from sandbox.services.rabbitmq_local import LocalNode
from sandbox.waiting import Eventually
from tests.e2e.worker_environment import settings
from tests.helm.certificates import Authority
from tests.helm.chart import CHART, LEAST, container, manifests, merged, of_kind, only
from tests.helm.container import Pod
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
    """Where a broker takes TLS connections of clients that have a certificate of `authority`."""

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
    """A broker with TLS, and users to come."""
    scripts = ensure_rabbitmq()
    assert scripts is not None, "a broker in docker is not set up here for TLS"
    with LocalNode(scripts, configuration=tls.configuration) as node:
        yield node


def queues(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the operator would declare, by name; the type is an argument on the broker."""
    return {
        one["spec"]["name"]: {
            "x-queue-type": one["spec"]["type"],
            **one["spec"].get("arguments", {}),
        }
        for one in of_kind(found, "Queue")
    }


@pytest.mark.parametrize("delays", ["5,30,120,600", "0.5, 7.25,86400", "10"])
@pytest.mark.parametrize("prefix", ["recording", "eu.staging_1"])
def test_the_operator_makes_what_the_worker_needs(prefix: str, delays: str) -> None:
    chosen = {"WORKER_NAME_PREFIX": prefix, "WORKER_RETRY_DELAYS_SECONDS": delays}
    found = manifests(merged(LEAST, OPERATOR, {"settings": chosen}))
    needed = Topology(prefix=prefix, retry_delays=tuple(float(step) for step in delays.split(",")))
    assert queues(found) == {one.name: one.arguments for one in needed.queues}
    exchanges = {one["spec"]["name"]: one["spec"]["type"] for one in of_kind(found, "Exchange")}
    assert exchanges == {name: kind.value for name, kind in needed.exchanges.items()}
    bindings = {
        (one["spec"]["source"], one["spec"]["destination"], one["spec"]["routingKey"])
        for one in of_kind(found, "Binding")
    }
    assert bindings == {
        (one.exchange, one.name, one.binding) for one in needed.queues if one.exchange
    }
    assert all(
        one["spec"]["durable"] for kind in ("Queue", "Exchange") for one in of_kind(found, kind)
    )


def test_no_queue_goes_with_the_release() -> None:
    for one in manifests(merged(LEAST, OPERATOR)):
        if one["kind"] in {"Queue", "Exchange", "Binding"}:
            assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def documented(purpose: str) -> list[str]:
    """The patterns in the README for a worker that does this: configure, write, read."""
    (line,) = re.findall(
        rf"rabbitmqctl set_permissions .*# {purpose}$",
        (CHART / "README.md").read_text().replace("\\\n", ""),
        re.MULTILINE,
    )
    return shlex.split(line, comments=True)[-3:]


def test_the_readme_has_the_patterns_of_the_operator() -> None:
    allowed = only(manifests(merged(LEAST, OPERATOR)), "Permission")["spec"]["permissions"]
    assert documented("verify") == [allowed["configure"], allowed["write"], allowed["read"]]


@pytest.mark.parametrize("purpose", ["declare", "verify"])
async def test_a_worker_works_with_the_rights_in_the_readme(
    purpose: str, broker: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    patterns = [one.replace("recording", names_prefix) for one in documented(purpose)]
    broker.ctl("add_user", names_prefix, "password")
    broker.ctl("set_permissions", "-p", "/", names_prefix, *patterns)
    if purpose == "verify":
        await declare(broker.amqp_url, names_prefix)
    url = broker.amqp_url.replace("guest:guest", f"{names_prefix}:password")
    async with Sandbox(SandboxOptions(speed=20.0, seed=1)) as sandbox:
        given = settings(url, names_prefix, sandbox, WORKER_TOPOLOGY=purpose)
        worker = WorkerProcess(given, tmp_path)
        await worker.start()
        try:
            await worker.ready()
            async with WorkerClient(broker.amqp_url, names_prefix) as messages:
                await use_everything(messages)
        finally:
            await worker.stop()
    assert "ACCESS_REFUSED" not in worker.log.read_text()


async def declare(amqp_url: str, prefix: str) -> None:
    """What the operator, or an administrator, would have done."""
    from worker.broker.admin.one_shot import connect, declare_once

    async with connect(amqp_url, "test") as connection:
        await declare_once(connection, Topology(prefix=prefix, retry_delays=(0.2, 1.0, 5.0)))


async def use_everything(messages: WorkerClient) -> None:
    """Have a command executed, one retried until it expires, one buried."""
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

        def came(events: list[Any], kind: type = kind) -> bool:
            return any(isinstance(one.data, kind) for one in events)

        await messages.until(came, within=20, what=kind.__name__)


@pytest.mark.usefixtures("bubblewrap")
async def test_broker_and_database_are_used_over_tls_with_a_private_authority(
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
    own = {
        "ca.crt": tls.authority.certificate,
        "tls.crt": client.certificate,
        "tls.key": client.key,
    }
    secrets = {
        "broker": {"amqp-url": f"amqps://guest:guest@127.0.0.1:{tls.port}/?{files}"},
        "tls": own,
        "postgres": {"database-url": private_postgresql.url},
        "database-tls": {"ca.crt": database.certificate},
        "api": {"api-token": "token"},
    }
    (port,) = free_ports(1)
    found = manifests(merged(LEAST, values, {"service": {"port": port}}))
    with Pod(found, secrets, tmp_path) as running:
        declared = running.run(
            container(found), command=("recording-worker", "topology", "declare")
        )
        assert await declared.ended() == 0, declared.output
        worker = running.run(container(found))
        await eventually(
            lambda: encrypted_sessions(private_postgresql), seconds=30, what=worker.output
        )

        running.change_secret("tls", {**own, "ca.crt": database.certificate})
        refused = running.run(container(found), command=("recording-worker", "topology", "check"))
        assert await refused.ended() == 1
        assert "CERTIFICATE_VERIFY_FAILED" in refused.output


def encrypt(server: PostgreSQLServer, authority: Authority) -> None:
    """Let a server take TLS with a certificate of this authority, and nothing else from afar."""
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
    """How many others talk to it over TLS."""
    with psycopg.connect(f"{server.url}?sslmode=disable") as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_ssl WHERE ssl").fetchone()
    assert found is not None
    return int(found[0])
