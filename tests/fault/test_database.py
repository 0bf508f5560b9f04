"""The database is unavailable, locked, full or silent: no work is lost, and the worker recovers.

The long form: FAULT_AWAY_SECONDS=60.
"""

import asyncio
import itertools
import os
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import sqlalchemy as sa
from yarl import URL

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.reliability_report import RunFigures, report_lines
from tests.fault.run_record import SUCCEEDED
from tests.fault.simulation import SimulatedReplica, Simulation
from tests.fault.tcp_proxy import TcpProxy
from tests.store_requests import claim_request
from worker.domain.errors import StoreUnavailable
from worker.store.claims import ClaimRequest
from worker.store.database.engine import open_engine
from worker.store.database.postgresql import LOST_PEER_TIMEOUT_SECONDS
from worker.store.database.psycopg_timeout import BoundedConnection
from worker.store.store import Store

AWAY_SECONDS = float(os.environ.get("FAULT_AWAY_SECONDS", "1"))
COMMANDS = 10
SHUTDOWN_MARGIN_SECONDS = 15
"""What the Helm chart adds to WORKER_SHUTDOWN_SECONDS before the kubelet kills a pod."""
MEETING = str(uuid.UUID(int=1, version=4))


def start(command_id: str = "start") -> dict[str, Any]:
    return {"type": "start_track_recording", "id": command_id, "meeting_id": MEETING}


async def waits_for_the_store(world: Simulation, replica: SimulatedReplica) -> bool:
    """Whether the command waits for the store, and the API has received no request."""
    (message,) = world.queue
    message.due = world.now
    await world.deliver(message, replica)
    return world.queue == [message] and not world.sandbox.request_log.started


async def ends_with_one_recording(world: Simulation, replica: SimulatedReplica) -> bool:
    await world.drain([replica])
    outcomes = [message for message in world.published if message.exchange == "results"]
    return len(outcomes) == len(world.sandbox.request_log.started) == 1


def commit_error_of(store: Store) -> str | None:
    return store.commit_error


# PostgreSQL


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_while_postgresql_is_down_no_command_is_completed_and_afterwards_work_continues(
    world: Simulation, private_postgresql: PostgreSQLServer, how: str
) -> None:
    store = await Store.open(private_postgresql.new_database(), source="test")
    replica = world.replica(store)
    world.send(start())
    await asyncio.to_thread(getattr(private_postgresql, how))
    assert await waits_for_the_store(world, replica)
    assert commit_error_of(store) is not None
    await asyncio.to_thread(private_postgresql.start)
    assert await ends_with_one_recording(world, replica)
    assert commit_error_of(store) is None
    await store.close()


async def test_a_connection_that_was_cut_is_replaced_at_the_next_transaction(
    world: Simulation, postgresql_url: str
) -> None:
    store = await Store.open(postgresql_url, source="test")
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    world.send(start())
    replica = world.replica(store)
    assert await waits_for_the_store(world, replica)
    assert await ends_with_one_recording(world, replica)
    await store.close()


async def test_a_commit_whose_answer_was_lost_is_detected_and_not_repeated(
    world: Simulation, postgresql: PostgreSQLServer
) -> None:
    url = URL(postgresql.new_database())
    async with TcpProxy(url.port or 5432, host=url.host or "127.0.0.1") as link:
        proxied_url = url.with_host("127.0.0.1").with_port(link.port)
        store = await Store.open(str(proxied_url), source="test")
        replica = world.replica(store)
        for number in range(6):
            world.send(start(f"start-{number}"))
        cutting = asyncio.create_task(cut_at_every_answer(link))
        for _ in range(4):
            for message in list(world.queue):
                message.due = world.now
                await world.deliver(message, replica)
        cutting.cancel()
        await asyncio.wait([cutting])
        with suppress(StoreUnavailable):  # the last cut may have hit a connection that was idle
            await store.unsent(1)
        await world.drain([replica])
        outcomes = {
            message.message_id for message in world.published if message.exchange == "results"
        }
        assert len(outcomes) == 6
        assert len(world.sandbox.request_log.started) == 6
        await store.close()


async def cut_at_every_answer(link: TcpProxy) -> None:
    """Cut the connection repeatedly, each time after a few more answers."""
    while True:
        before = link.bytes_down
        while link.bytes_down < before + 3_000:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0)
        link.cut()


async def test_a_command_waits_until_a_database_connection_is_free(
    world: Simulation, private_postgresql: PostgreSQLServer
) -> None:
    url = private_postgresql.new_database()
    store = await Store.open(url, source="test")
    replica = world.replica(store)
    world.send(start())
    others: list[psycopg.Connection[Any]] = []
    await asyncio.to_thread(private_postgresql.restart)
    with suppress(psycopg.OperationalError):
        while True:
            others.append(await asyncio.to_thread(psycopg.connect, url))
    assert await waits_for_the_store(world, replica), "its old connection is broken"
    assert await waits_for_the_store(world, replica), "and there is no new one"
    assert "connection slots" in (store.commit_error or "") or "too many" in (
        store.commit_error or ""
    )
    for connection in others:
        connection.close()
    assert await ends_with_one_recording(world, replica)
    await store.close()


async def test_a_worker_waits_at_most_five_seconds_for_a_locked_row(
    world: Simulation, postgresql_url: str
) -> None:
    store = await Store.open(postgresql_url + "?options=-clock_timeout%3D200ms", source="test")
    replica = world.replica(store)
    world.send(start())
    with psycopg.connect(postgresql_url) as admin:
        admin.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        assert await waits_for_the_store(world, replica)
    assert await ends_with_one_recording(world, replica)
    await store.close()


async def test_a_silent_postgresql_connection_is_detected_and_replaced(
    world: Simulation, postgresql: PostgreSQLServer
) -> None:
    url = URL(postgresql.new_database())
    async with TcpProxy(url.port or 5432, host=url.host or "127.0.0.1") as link:
        proxied_url = url.with_host("127.0.0.1").with_port(link.port)
        impatient_url = proxied_url.with_query(tcp_user_timeout="750", connect_timeout="2")
        store = await Store.open(str(impatient_url), source="test")
        replica = world.replica(store)
        world.send(start())
        link.black_hole()
        assert await waits_for_the_store(world, replica)
        assert "silent for 1 s" in (store.commit_error or "")
        await link.restore()
        assert await ends_with_one_recording(world, replica)
        await store.close()


async def test_a_silent_broker_is_detected_within_35_seconds_by_default(
    postgresql: PostgreSQLServer,
) -> None:
    engine = open_engine(postgresql.new_database())
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, BoundedConnection)
        assert LOST_PEER_TIMEOUT_SECONDS < driver.timeout_seconds <= 20
        limit = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
        assert limit == f"{LOST_PEER_TIMEOUT_SECONDS}s"
    engine.dispose()


async def test_a_worker_leaves_a_server_that_became_a_standby_for_the_new_primary(
    world: Simulation, postgresql_url: str
) -> None:
    store = await Store.open(postgresql_url, source="test")
    replica = world.replica(store)
    world.send(start())
    await store._group.submit(_statements, "SET default_transaction_read_only = on")
    assert await waits_for_the_store(world, replica)
    assert "read-only" in (store.commit_error or "")
    assert await ends_with_one_recording(world, replica), "a new connection finds who writes now"
    await store.close()


async def test_a_worker_whose_database_is_silent_ends_within_the_margin_of_its_pod(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> None:
    async with open_fault_environment(
        amqp_url, postgresql_url, tmp_path, prefix=names_prefix, WORKER_SHUTDOWN_SECONDS="0.5"
    ) as environment:
        worker = environment.worker()
        worker.start()
        await worker.ready()
        assert environment.database is not None
        environment.database.stall()
        started = time.monotonic()
        await asyncio.to_thread(worker.stop)
        assert worker.exit_code == 0, worker.last_words()
        assert time.monotonic() - started < SHUTDOWN_MARGIN_SECONDS


@pytest.mark.timeout(120 + int(AWAY_SECONDS))
async def test_a_worker_without_its_database_reports_it_and_recovers_without_a_restart(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> None:
    async with open_fault_environment(
        amqp_url, postgresql_url, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        worker = environment.worker()
        worker.start()
        await worker.ready()
        assert environment.database is not None
        environment.database.refuse()
        environment.database.cut()
        for number in range(COMMANDS):
            meeting = str(uuid.uuid4())
            command = {**start(f"start-{number}"), "meeting_id": meeting}
            await environment.sender.send(command, allowed=SUCCEEDED)
        why = await eventually(lambda: why_not_ready(worker))
        assert "store" in why
        # Not for something to happen: nothing may be published or requested all the while.
        await asyncio.sleep(AWAY_SECONDS)
        assert worker.running
        assert environment.recorder.received == []
        assert not environment.sandbox.request_log.started
        await environment.database.restore()
        await worker.ready()
        for number in range(COMMANDS):
            await environment.recorder.outcome_of(f"start-{number}", seconds=60)
            stop = {"type": "stop_recording", "id": f"stop-{number}"}
            await environment.sender.send(
                {**stop, "start_id": f"start-{number}"}, allowed=SUCCEEDED
            )
        found = await environment.settled()
        figures = report_lines(found, RunFigures(kills=0, restarts=0, seed=1))
        print(figures)
        assert (found.violations, found.recordings) == ((), COMMANDS), figures
        assert worker.starts == 1


async def why_not_ready(worker: KillableWorker) -> list[str]:
    """The checks that fail."""
    address = f"http://127.0.0.1:{worker.port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        checks = (await answer.json())["checks"]
    return [name for name, check in checks.items() if not check["ok"]]


# SQLite


async def test_a_worker_waits_for_a_locked_database_file_and_then_reports_it(
    world: Simulation, tmp_path: Path
) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(f"sqlite:///{path}", source="test")
    replica = world.replica(store)
    world.send(start())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await waits_for_the_store(world, replica)
    assert "locked" in (store.commit_error or "")
    other.execute("ROLLBACK")
    other.close()
    assert await ends_with_one_recording(world, replica)
    await store.close()


async def test_a_worker_loses_nothing_on_a_full_disk_and_continues_when_there_is_space(
    world: Simulation, tmp_path: Path
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'state.db'}", source="test")
    replica = world.replica(store)
    await fill(store)
    world.send(start("x" * 128))
    assert await waits_for_the_store(world, replica)
    assert "full" in (store.commit_error or "")
    await store._group.submit(_statements, "PRAGMA max_page_count = 1000000")
    assert await ends_with_one_recording(world, replica)
    await store.close()


async def fill(store: Store) -> None:
    """Stop the growth of the file, and fill its free space."""
    await store._group.submit(_statements, "PRAGMA max_page_count = 1")
    with suppress(StoreUnavailable):
        for number in itertools.count():
            await store.claim(filler(number))
    assert "full" in (store.commit_error or "")


def filler(number: int) -> ClaimRequest:
    return claim_request(f"{number:0100d}", "sync_recording", owner="somebody", now=0.0)


def _statements(connection: sa.Connection, statements: Sequence[str]) -> list[None]:
    for statement in statements:
        connection.exec_driver_sql(statement)
    return [None] * len(statements)


async def test_requests_that_wait_for_a_silent_database_all_fail_together(
    postgresql: PostgreSQLServer,
) -> None:
    url = URL(postgresql.new_database())
    async with TcpProxy(url.port or 5432, host=url.host or "127.0.0.1") as link:
        impatient_url = (
            url.with_host("127.0.0.1").with_port(link.port).with_query(tcp_user_timeout="750")
        )
        store = await Store.open(str(impatient_url), source="test")
        link.black_hole()
        began = time.monotonic()
        asked = [store.outbox_depth() for _ in range(50)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert time.monotonic() - began < 20, "one silence, not fifty"
        await link.restore()
        await store.close()
