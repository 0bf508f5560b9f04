"""How the store connects to PostgreSQL: several hosts, and PgBouncer in its transaction mode."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from tests.state_queries import read_state
from worker.aio import cancel_all
from worker.domain.errors import StoreUnavailable
from worker.store.admin.copy import copy_store
from worker.store.admin.read_only import open_read_only, read_only_engine
from worker.store.cursors import Cursor
from worker.store.database.engine import open_engine
from worker.store.database.postgresql import Pooler
from worker.store.leader import LeaderElector
from worker.store.queries import RecordingsFilter, find_recordings
from worker.store.store import Store
from worker.store.unsent_events import OutboxDepth

TIME_OUTS: Final = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_user_timeout": "15000",  # shown in milliseconds
}
SESSIONS: Final = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'recording-worker'"
)
"""The sessions of workers in this database."""
PREPARED_AFTER = 5
"""The driver prepares a statement when it is executed more often than this."""


@pytest.fixture
def pooled_url(pgbouncer: PgBouncer, postgresql_url: str) -> str:
    return pgbouncer.url(postgresql_url)


@pytest.fixture
async def pooled_stores(pooled_url: str) -> AsyncIterator[tuple[Store, Store]]:
    first = await Store.open(pooled_url, source="test", pooler="transaction")
    second = await Store.open(pooled_url, source="test", pooler="transaction")
    yield first, second
    await first.close()
    await second.close()


def with_hosts(url: str, *hosts: str, options: str = "") -> str:
    """The URL with other hosts. Its own host is written as `{}`."""
    netloc = urlsplit(url).netloc
    user, _, host = netloc.rpartition("@")
    listed = ",".join(hosts).format(host)
    return url.replace(netloc, f"{user}@{listed}") + options


def answers_of_all_sessions(pooled_url: str, query: str) -> set[Any]:
    """The answers of all sessions of the pooler, which gives each query the next session."""
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as connection:
        rows = [connection.execute(query.encode()).fetchone() for _ in range(10)]
    return {row[0] for row in rows if row is not None}


# PgBouncer


async def test_a_pooled_session_keeps_no_setting_and_no_prepared_statement(
    pooled_stores: tuple[Store, Store], pooled_url: str
) -> None:
    for _ in range(3 * PREPARED_AFTER):
        for store in pooled_stores:
            await store.set_cursor(Cursor(name="c", at=1.0))
            assert await store.cursor("c") == 1.0

    assert answers_of_all_sessions(pooled_url, "SELECT count(*) FROM pg_prepared_statements") == {0}
    assert answers_of_all_sessions(pooled_url, "SHOW statement_timeout") == {"0"}


def test_each_pooled_transaction_has_the_time_outs_and_leaves_none_behind(pooled_url: str) -> None:
    engine = open_engine(pooled_url, pooler="transaction")
    with engine.begin() as connection:
        limits = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in TIME_OUTS]
        planner = connection.exec_driver_sql("SHOW plan_cache_mode").scalar_one()
    engine.dispose()

    assert limits == list(TIME_OUTS.values())
    assert planner == "force_custom_plan"
    for name in TIME_OUTS:
        assert answers_of_all_sessions(pooled_url, f"SHOW {name}") == {"0"}


def test_a_pooled_transaction_and_its_time_outs_begin_with_one_message(pooled_url: str) -> None:
    """Otherwise a worker frozen between the two would hold a pooler session forever."""
    engine = open_engine(pooled_url, pooler="transaction")
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.info.transaction_status == TransactionStatus.IDLE
        connection.begin()
        assert driver.info.transaction_status == TransactionStatus.INTRANS
        name = "idle_in_transaction_session_timeout"
        assert connection.exec_driver_sql(f"SHOW {name}").scalar_one() == TIME_OUTS[name]
        connection.rollback()
        assert driver.info.transaction_status == TransactionStatus.IDLE
    engine.dispose()


def test_the_server_has_the_time_outs_of_a_worker_that_is_cut_off(postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    keepalives = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5"}
    expected = {**TIME_OUTS, **keepalives, "tcp_keepalives_count": "2"}
    with engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in expected}
    engine.dispose()

    assert found == expected


async def test_a_pooled_store_does_not_listen(pooled_stores: tuple[Store, Store]) -> None:
    async with asyncio.timeout(5):
        await pooled_stores[0].listen()


async def test_a_pooled_replica_takes_over_the_lease_without_a_notification(
    pooled_stores: tuple[Store, Store],
) -> None:
    first, second = pooled_stores
    leader = LeaderElector(first, owner="first", lease_seconds=15, now=first.now)
    successor = LeaderElector(second, owner="second", lease_seconds=15, now=second.now)
    await leader.try_acquire()
    await successor.try_acquire()
    assert (leader.is_leader(), successor.is_leader()) == (True, False)
    await leader.release()
    await successor.try_acquire()
    assert successor.is_leader()


def test_a_pooled_reader_cannot_write(pooled_url: str) -> None:
    engine = read_only_engine(pooled_url, pooler="transaction")
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="read-only"):
        connection.exec_driver_sql("CREATE TABLE mine (id integer)")
    engine.dispose()


async def test_the_state_is_read_and_copied_through_a_pooler(
    pooled_stores: tuple[Store, Store], pooled_url: str, sqlite_url: str
) -> None:
    await pooled_stores[0].set_cursor(Cursor(name="c", at=1.0))
    with open_read_only(pooled_url, pooler="transaction") as connection:
        assert find_recordings(connection, RecordingsFilter()) == []

    result = copy_store(pooled_url, sqlite_url, lambda *_: None, pooler="transaction")

    assert {table.table: table.rows for table in result.tables}["marks"] == 1


async def test_options_that_a_pooler_refuses_are_answered_with_the_setting(pooled_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="WORKER_DATABASE_POOLER=transaction"):
        await Store.open(pooled_url, source="test")


# Passwords that change while a worker runs


async def test_each_new_connection_has_the_user_and_the_password_of_the_current_url(
    postgresql_url: str, eventually: Eventually
) -> None:
    name = urlsplit(postgresql_url).path.lstrip("/")
    former, latter = f"{name}_former", f"{name}_latter"
    urls = [re.sub("//[^@]+@", f"//{role}@", postgresql_url) for role in (former, latter)]
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {former} LOGIN SUPERUSER".encode())
        admin.execute(f"CREATE ROLE {latter} LOGIN SUPERUSER".encode())
        store = await Store.open(urls[0], source="test", current_url=lambda: urls[0])
        loops = [store.listen(), store.replicas.run("owner", call_seconds=1)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        await eventually(lambda: uses_both_connections(store))
        await eventually(lambda: users_of(admin) == [former] * 4)

        urls[0] = urls[1]
        admin.execute(f"ALTER ROLE {former} NOLOGIN".encode())
        admin.execute(f"SELECT pg_terminate_backend(pid) {SESSIONS}".encode())
        await eventually(lambda: uses_both_connections(store))
        await eventually(lambda: users_of(admin) == [latter] * 4)
        await cancel_all(tasks)
        await store.close()
        admin.execute(f"DROP ROLE {former}, {latter}".encode())


def users_of(admin: psycopg.Connection[Any]) -> list[str]:
    """The user of each of the worker's sessions."""
    return [user for (user,) in admin.execute(f"SELECT usename {SESSIONS}".encode())]


async def uses_both_connections(store: Store) -> bool:
    """Whether the connections for commands and for background work both work."""
    with suppress(StoreUnavailable):
        await store.release_leases("owner")
        await store.outbox_depth()
        return True
    return False


# Defaults that an administrator set for the database or the role


def set_for_database(url: str, **values: str) -> None:
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in values.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())


def shown(url: str, setting: str, pooler: Pooler) -> object:
    """The value of a setting in a transaction of a worker."""
    engine = open_engine(url, pooler=pooler)
    with engine.begin() as connection:
        value: object = connection.exec_driver_sql(f"SHOW {setting}").scalar_one()
    engine.dispose()
    return value


@pytest.mark.parametrize("pooler", ["none", "transaction"])
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_transaction_reads_the_commits_of_others_with_any_default(
    level: str, pooler: Pooler, postgresql_url: str, pgbouncer: PgBouncer
) -> None:
    """Otherwise a migration that waited for another one would not see it, and would repeat it."""
    set_for_database(postgresql_url, default_transaction_isolation=level)
    url = postgresql_url if pooler == "none" else pgbouncer.url(postgresql_url)
    assert shown(url, "transaction_isolation", pooler) == "read committed"


@pytest.mark.parametrize("pooler", ["none", "transaction"])
def test_times_keep_all_their_digits_with_any_default(
    pooler: Pooler, postgresql_url: str, pgbouncer: PgBouncer
) -> None:
    set_for_database(postgresql_url, extra_float_digits="-15")
    url = postgresql_url if pooler == "none" else pgbouncer.url(postgresql_url)
    assert shown(url, "extra_float_digits", pooler) == "1"


@pytest.mark.parametrize("pooler", ["none", "transaction"])
@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
def test_a_commit_waits_for_the_disk_with_any_default(
    default: str, used: str, pooler: Pooler, postgresql_url: str, pgbouncer: PgBouncer
) -> None:
    set_for_database(postgresql_url, synchronous_commit=default)
    url = postgresql_url if pooler == "none" else pgbouncer.url(postgresql_url)
    assert shown(url, "synchronous_commit", pooler) == used


def test_the_url_decides_whether_a_commit_waits_for_the_disk(postgresql_url: str) -> None:
    url = f"{postgresql_url}?options=-csynchronous_commit%3Doff"
    assert shown(url, "synchronous_commit", "none") == "off"


async def test_a_worker_that_is_idle_keeps_its_connections(postgresql_url: str) -> None:
    set_for_database(postgresql_url, idle_session_timeout="100ms")
    store = await Store.open(postgresql_url, source="test")
    notified = asyncio.Event()
    store.subscribe("lease", notified.set)
    listening = asyncio.create_task(store.listen())
    await asyncio.wait_for(notified.wait(), 10)  # it has connected
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("SET idle_session_timeout = 0")
        before = sessions(connection)
        connection.execute("SELECT pg_sleep(0.5)")
        assert sessions(connection) == before
    assert await store.outbox_depth() == OutboxDepth(events=0, oldest_at=None)
    listening.cancel()
    await store.close()


def sessions(connection: psycopg.Connection[Any]) -> set[int]:
    return {pid for (pid,) in connection.execute(f"SELECT pid {SESSIONS}".encode())}


@pytest.mark.parametrize("pooler", ["none", "transaction"])
async def test_every_character_is_kept_with_any_encoding_of_clients(
    pooler: Pooler,
    postgresql_url: str,
    pgbouncer: PgBouncer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    set_for_database(postgresql_url, client_encoding="LATIN1")
    url = postgresql_url if pooler == "none" else pgbouncer.url(postgresql_url)
    store = await Store.open(url, source="test", pooler=pooler)
    await store.set_cursor(Cursor(name="日本", at=1.0))
    assert await store.cursor("日本") == 1.0
    await store.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_of_another_encoding_is_refused_by_name(
    encoding: str, postgresql: PostgreSQLServer
) -> None:
    url = postgresql.new_database()
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}".encode())
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0".encode()
        )
    with pytest.raises(StoreUnavailable, match=f"has the encoding {encoding}.* needs UTF8"):
        await Store.open(url, source="test")
    postgresql.drop_database(url)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "permission denied for schema public"),
        ({"search_path": "missing"}, "no schema has been selected"),
    ],
)
async def test_a_role_that_may_create_nothing_is_answered_with_the_rights_it_needs(
    options: dict[str, str], reason: str, postgresql: PostgreSQLServer
) -> None:
    """From PostgreSQL 15 on, this is so for every role that does not own the database."""
    url = postgresql.new_database()
    role = urlsplit(url).path.lstrip("/")
    set_for_database(url, **options)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    with pytest.raises(StoreUnavailable, match=rf"{reason}.*\(.*GRANT USAGE, CREATE ON SCHEMA"):
        await Store.open(url.replace("postgres@", f"{role}@"), source="test")
    postgresql.drop_database(url)
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {role}".encode())


async def test_a_pooler_of_statements_is_answered_with_the_mode_it_needs(
    postgresql: PostgreSQLServer, postgresql_url: str
) -> None:
    with (
        PgBouncer(postgresql.url, pool_mode="statement") as pooler,
        pytest.raises(StoreUnavailable, match="set pool_mode = transaction in PgBouncer"),
    ):
        await Store.open(pooler.url(postgresql_url), source="test", pooler="transaction")


# Several hosts


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_a_host_that_is_unavailable_is_passed_over(postgresql_url: str, scheme: str) -> None:
    (nobody,) = free_ports(1)
    url = with_hosts(postgresql_url, f"127.0.0.1:{nobody}", "{}").replace("postgresql", scheme, 1)
    store = await Store.open(url, source="test")
    assert await store.outbox_depth() == OutboxDepth(events=0, oldest_at=None)
    listening = asyncio.create_task(store.listen())
    await asyncio.wait([listening], timeout=0.1)
    assert not listening.done()
    listening.cancel()
    await store.close()


async def test_of_several_hosts_the_one_that_takes_writes_is_used(
    private_postgresql: PostgreSQLServer, postgresql_url: str
) -> None:
    standby = urlsplit(private_postgresql.url)
    name = urlsplit(postgresql_url).path.lstrip("/")
    with psycopg.connect(private_postgresql.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())

    url = with_hosts(postgresql_url, f"127.0.0.1:{standby.port}", "{}")
    await (await Store.open(url, source="test")).close()

    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


@pytest.mark.parametrize("options", ["", "?target_session_attrs=read-write"])
async def test_a_reader_connects_with_the_urls_of_workers(
    postgresql_url: str, options: str
) -> None:
    (nobody,) = free_ports(1)
    url = with_hosts(postgresql_url, f"127.0.0.1:{nobody}", "{}", options=options)
    await (await Store.open(url, source="test")).close()
    assert read_state(url, find_recordings, RecordingsFilter()) == []


async def test_a_reader_uses_the_schema_that_the_url_names(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA blue")
    url = f"{postgresql_url}?options=-csearch_path%3Dblue"
    await (await Store.open(url, source="test")).close()
    assert read_state(url, find_recordings, RecordingsFilter()) == []


async def test_a_time_out_of_zero_is_that_of_the_system(postgresql_url: str) -> None:
    store = await Store.open(f"{postgresql_url}?tcp_user_timeout=0", source="test")
    assert await store.outbox_depth() == OutboxDepth(events=0, oldest_at=None)
    await store.close()
