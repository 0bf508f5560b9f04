"""No secret leaves the worker: not in logs, events, tables or the process list."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import CommandRejected, StatusChanged, encode_event
from tests.e2e.worker_environment import API_TOKEN, WorkerEnvironment, open_worker_environment

AMQP_PASSWORD = "password-of-the-broker"  # noqa: S105
STORAGE_SECRET = "secret-of-the-bucket"  # noqa: S105
SECRETS = (API_TOKEN, AMQP_PASSWORD, STORAGE_SECRET)
STORAGE = {
    "type": "aws",
    "bucket": "meetings",
    "region": "eu-central-1",
    "access_key": "AKIAEXAMPLE",
    "secret": STORAGE_SECRET,
}


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQNode, names_prefix: str) -> Iterator[str]:
    """The shared broker, for a user with a password worth hiding."""
    rabbitmq.add_user(names_prefix, AMQP_PASSWORD)
    yield f"amqp://{names_prefix}:{AMQP_PASSWORD}@127.0.0.1:{rabbitmq.port}/"
    rabbitmq.delete_user(names_prefix)


async def test_no_secret_is_in_a_log_line_an_event_a_table_or_the_process_list(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(
        amqp_url, names_prefix, tmp_path, LOG_LEVEL="debug"
    ) as environment:
        environment.sandbox.faults.add(Fault(kind="refuse", status=401, count=2))
        environment.sandbox.faults.add(
            Fault(kind="echo_body", operation="start_recording", count=1)
        )
        for number in range(2):
            await start_composite(environment, f"composite-{number}")
        refused = await environment.outcome("composite-0")
        await environment.event(StatusChanged, status="RECORDING")
        command_line = Path(f"/proc/{environment.worker.pid}/cmdline").read_bytes()
        assert await environment.worker.stop() == 0

        assert isinstance(refused.data, CommandRejected)
        assert STORAGE["bucket"] in refused.data.message  # the API did repeat the request
        log = environment.worker.log.read_text()
        for secret in SECRETS:
            assert secret not in log
            assert secret.encode() not in command_line
            assert not [event for event in encoded(environment) if secret.encode() in event]
            assert not [row for row in rows(tmp_path / "state.db") if secret in repr(row)]
            for path in tmp_path.glob("state.db*"):
                assert secret.encode() not in path.read_bytes(), path


async def start_composite(environment: WorkerEnvironment, command_id: str) -> None:
    await environment.send(
        type="start_recording",
        id=command_id,
        meeting_id=environment.meeting_id,
        storage_config=STORAGE,
    )


def encoded(environment: WorkerEnvironment) -> list[bytes]:
    """Every event as its subscribers get it."""
    return [
        encode_event(
            event.data,
            id=event.id,
            source=event.source,
            subject=event.subject,
            time=event.time,
            sequence=str(event.sequence),
        )
        for event in environment.messages.events
    ]


def rows(database: Path) -> list[Any]:
    """Every row of every table."""
    with closing(sqlite3.connect(database)) as connection, connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        found = [
            row
            for (name,) in names.fetchall()
            for row in connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608
        ]
    connection.close()
    assert found
    return found
