"""Readiness proves that a worker can write. A worker without its state says what to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment, settings
from tests.forked_worker import ForkedWorkerProcess

READ_ONLY_SECONDS = 8.0
"""Longer than a replica needs to renew its lease, or to find that it cannot."""


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> Iterator[str]:
    url = postgresql.new_database()
    yield url
    postgresql.drop_database(url)


def set_read_only(url: str, value: str) -> None:
    """Imitate a failover to a standby: every session ends, and new sessions cannot write."""
    read_write = "-c default_transaction_read_only=off"
    with psycopg.connect(url, autocommit=True, options=read_write) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_no_replica_is_ready_while_the_database_is_read_only_and_all_recover(
    amqp_url: str, names_prefix: str, tmp_path: Path, url: str, eventually: Eventually
) -> None:
    more: dict[str, Any] = {"DATABASE_URL": url}
    async with open_worker_environment(amqp_url, names_prefix, tmp_path, **more) as environment:
        (tmp_path / "second").mkdir()
        known = settings(amqp_url, names_prefix, environment.sandbox, **more)
        second = ForkedWorkerProcess(known, tmp_path / "second")
        await second.start()
        try:
            await second.ready()
            await asyncio.to_thread(set_read_only, url, "on")
            await eventually(lambda: is_read_only(environment.worker))
            await eventually(lambda: is_read_only(second))
            # Checks that nothing happens: during this time no replica may become ready.
            until = time.monotonic() + READ_ONLY_SECONDS
            while time.monotonic() < until:
                for replica in (environment.worker, second):
                    assert (await replica.probe("/readyz"))[0] == 503
                await asyncio.sleep(0.1)
            await environment.start("during")
            await asyncio.to_thread(set_read_only, url, "off")
            await environment.worker.ready()
            await second.ready()
            assert isinstance((await environment.outcome("during")).data, CommandSucceeded)
        finally:
            await second.stop()


async def is_read_only(worker: WorkerProcess) -> bool:
    status, answer = await worker.probe("/readyz")
    assert status == 503
    assert "read-only" in answer["checks"]["store"]["reason"]
    return True


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[WorkerEnvironment]:
    async with open_worker_environment(amqp_url, names_prefix, tmp_path) as environment:
        await environment.start("before")
        await environment.outcome("before")
        yield environment


async def test_a_removed_database_file_fails_readiness_and_its_saved_content_is_taken_back(
    environment: WorkerEnvironment, tmp_path: Path, eventually: Eventually
) -> None:
    path = tmp_path / "state.db"
    path.unlink()

    async def says_what_to_do() -> Path:
        status, answer = await environment.worker.probe("/readyz")
        reason = answer["checks"]["store"]["reason"]
        assert status == 503
        assert reason.endswith(f"move that to {path}, and the worker restarts with it")
        return Path(reason.split("saved as ")[1].split(":")[0])

    saved = await eventually(says_what_to_do)
    await environment.start("during")
    await environment.start("before")  # a repeat, known only to the file
    assert (await environment.worker.probe("/livez"))[0] == 200
    saved.rename(path)
    await eventually(lambda: not environment.worker.running)
    assert await environment.worker.ended() == 1
    assert f"Error: DATABASE_URL: {path} was replaced" in environment.worker.log_tail()
    await environment.worker.start()
    await environment.worker.ready()
    assert isinstance((await environment.outcome("during")).data, CommandSucceeded)
    assert len(environment.requests("start_track_recording")) == 2


async def test_a_worker_ends_when_its_database_file_is_replaced_and_loses_no_command(
    environment: WorkerEnvironment, tmp_path: Path, eventually: Eventually
) -> None:
    (tmp_path / "new.db").touch()
    (tmp_path / "new.db").replace(tmp_path / "state.db")
    await environment.start("during")
    await eventually(lambda: not environment.worker.running)
    assert await environment.worker.ended() == 1
    await environment.worker.start()
    await environment.worker.ready()
    assert isinstance((await environment.outcome("during")).data, CommandSucceeded)


async def test_a_worker_that_may_not_add_events_is_not_ready_and_loses_none(
    amqp_url: str, names_prefix: str, tmp_path: Path, url: str, eventually: Eventually
) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        role = admin.info.dbname
        admin.execute(f"CREATE ROLE {role} LOGIN".encode())
        admin.execute(b"GRANT ALL ON SCHEMA public TO PUBLIC")
        more: dict[str, Any] = {"DATABASE_URL": url.replace("postgres@", f"{role}@")}
        async with open_worker_environment(amqp_url, names_prefix, tmp_path, **more) as environment:
            admin.execute(f"REVOKE INSERT ON outbox FROM {role}".encode())

            async def says_so() -> bool:
                status, answer = await environment.worker.probe("/readyz")
                reason = answer["checks"]["store"]["reason"] or ""
                return status == 503 and "lacks rights: INSERT on outbox (" in reason

            await eventually(says_so)
            await environment.start("during")
            await eventually(says_so)
            admin.execute(f"GRANT INSERT ON outbox TO {role}".encode())
            await environment.worker.ready()
            assert isinstance((await environment.outcome("during")).data, CommandSucceeded)
        admin.execute(f"DROP OWNED BY {role}".encode())
        admin.execute(f"DROP ROLE {role}".encode())


async def test_a_worker_whose_role_has_too_few_connections_keeps_running_and_says_so(
    amqp_url: str,
    names_prefix: str,
    tmp_path: Path,
    postgresql: PostgreSQLServer,
    url: str,
    eventually: Eventually,
) -> None:
    """The first connection is enough to open the database, and the second one is refused."""
    with psycopg.connect(url, autocommit=True) as admin:
        role = admin.info.dbname
        admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1".encode())
        admin.execute(b"GRANT ALL ON SCHEMA public TO PUBLIC")
    async with Sandbox() as sandbox:
        limited = {"DATABASE_URL": url.replace("postgres@", f"{role}@")}
        worker = ForkedWorkerProcess(settings(amqp_url, names_prefix, sandbox, **limited), tmp_path)
        await worker.start()
        try:

            async def says_so() -> bool:
                _, answer = await worker.probe("/readyz")
                return "each worker needs four connections" in str(answer)

            await eventually(says_so)
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 4".encode())
            await worker.ready()
        finally:
            await worker.stop()
    postgresql.drop_database(url)
    with psycopg.connect(postgresql.url, autocommit=True) as admin:
        admin.execute(f"DROP ROLE {role}".encode())
