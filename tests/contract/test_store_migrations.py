"""Every schema version migrates to the same database."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.contract.test_store_pruning import NOW, record
from worker.domain.errors import StoreUnavailable
from worker.store.database import schema
from worker.store.database.engine import open_engine
from worker.store.database.migrate import HEAD, migrate, upgrade
from worker.store.database.schema import metadata
from worker.store.event_positions import ranges_of
from worker.store.queries import RecordingsFilter
from worker.store.store import Store

MIGRATIONS: Final = Path(__file__).parents[2] / "worker/store/migrations"
NOT_KEPT: Final = {"app", "url_hash", "url_expires_at", "event_positions"}
"""Columns that an older version did not have, so that nothing can bring their values back."""


def test_new_tables_equal_the_migrated_ones(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        migrate(connection)
        new = schema_of(connection)
        for name in new:
            connection.execute(sa.text(f"DROP TABLE {name}"))
        upgrade(connection)
        assert schema_of(connection) == new
    engine.dispose()


@pytest.mark.parametrize(
    ("foreign", "statements"),
    [
        ("recordings", ["CREATE TABLE recordings (id integer)"]),
        *(
            (
                "alembic_version",
                [
                    "CREATE TABLE alembic_version (version_num varchar(32))",
                    f"INSERT INTO alembic_version VALUES ('{revision}')",  # noqa: S608
                ],
            )
            for revision in ("0005", "3f2a91c07be4")
        ),
    ],
)
async def test_tables_of_another_program_are_named_and_left_alone(
    foreign: str, statements: list[str], empty_database_url: str
) -> None:
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    with pytest.raises(StoreUnavailable, match=f"the table {foreign} belongs to another program"):
        await Store.open(empty_database_url, source="test")
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == [foreign]
    engine.dispose()


def schema_of(connection: sa.Connection) -> dict[str, Any]:
    """Each table: its columns, keys, indexes, checks and settings, independent of column order."""
    inspector = sa.inspect(connection)
    settings = settings_of_tables(connection)

    def described(table: str) -> dict[str, Any]:
        columns = inspector.get_columns(table)
        indexes = inspector.get_indexes(table)
        checks = inspector.get_check_constraints(table)
        return {
            "columns": {one["name"]: (str(one["type"]), one["nullable"]) for one in columns},
            "counted": [one["name"] for one in columns if one.get("identity")],
            "key": inspector.get_pk_constraint(table),
            "checks": {one["name"]: re.sub(r"\s+", " ", one["sqltext"]) for one in checks},
            "indexes": {
                one["name"]: (
                    one["column_names"],
                    one["unique"],
                    {
                        kind: re.sub(r"\b\w+\.", "", str(value))
                        for kind, value in one.get("dialect_options", {}).items()
                        if kind.endswith("where")
                    },
                )
                for one in indexes
            },
            "settings": settings.get(table),
        }

    return {name: described(name) for name in inspector.get_table_names()}


def settings_of_tables(connection: sa.Connection) -> dict[str, list[str]]:
    """How PostgreSQL is to treat tables, where that is not as usual."""
    if connection.dialect.name == "sqlite":
        return {}
    found = sa.text("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL")
    return {row.relname: row.reloptions for row in connection.execute(found)}


def test_the_newest_migration_is_the_one_the_worker_asks_for() -> None:
    assert max(path.name[:4] for path in MIGRATIONS.glob("versions/[0-9]*.py")) == HEAD


async def test_rows_of_an_older_version_are_there_after_the_migration(
    empty_database_url: str,
) -> None:
    store = await Store.open(empty_database_url, source="test")
    await record(store, "over", at=NOW)
    await record(store, "going-on", at=NOW, ended=False)
    await store.close()
    engine = open_engine(empty_database_url)
    kept = rows_of(engine)
    with engine.begin() as connection:
        command.downgrade(config(connection), "0004")
    engine.dispose()  # a worker needs exclusive use of an SQLite file
    store = await Store.open(empty_database_url, source="test")
    assert rows_of(engine) == kept
    for name in ("over", "going-on"):
        by_start = RecordingsFilter(start_id=f"start-{name}")
        assert [one.recording_id for one in await store.recordings(by_start)] == [name]
    await store.close()
    engine.dispose()


ROWS: Final = 5_000
READ_ALL_ROWS: Final = {"0002", "0003", "0005", "0006", "0007", "0010", "0011", "0017"}
"""The migrations that read or write whole tables. No new one may."""

OLD_ROWS: Final = (
    """
    INSERT INTO inbox (command_id, command_type, state, attempts, crashes, alone, first_seen_at,
        outcome, finished_at)
    SELECT 's' || n, 't', 'done', 1, 0, '0', 1.0, '{}', 1.0 FROM n
    """,
    """
    INSERT INTO recordings (recording_id, app, kind, status, version, open, state, changed_at)
    SELECT 'r' || n, 'default', 'track', 'UPLOADED', 1, '0', '{}', 1.0 FROM n
    """,
    """
    INSERT INTO files (recording_id, file_index, file_name, found_at)
    SELECT 'r' || n, 1, 'f', 1.0 FROM n
    """,
    """
    INSERT INTO outbox (event_id, event_type, subject, exchange, routing_key, headers, body,
        created_at, sent_at)
    SELECT 'e' || n, 't', 'r' || n, 'status', 'k', '{}', '', 1.0, 1.0 FROM n
    """,
)
NUMBERS: Final = {
    "sqlite": f"""
    WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
    """,  # noqa: S608
    "postgresql": f"WITH n AS (SELECT generate_series(1, {ROWS}) AS n)",
}


def test_no_new_migration_reads_or_writes_the_rows_of_history(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        scripts = ScriptDirectory.from_config(config(connection))
        revisions = [script.revision for script in scripts.walk_revisions()][::-1]
        command.upgrade(config(connection), revisions[0])
        for statement in OLD_ROWS:
            connection.exec_driver_sql(NUMBERS[engine.dialect.name] + statement)
    read_all = set()
    for revision in revisions[1:]:
        with engine.begin() as connection, rows_handled(connection) as handled:
            command.upgrade(config(connection), revision)
        if handled[0] >= ROWS:
            read_all.add(revision)
    engine.dispose()
    # On PostgreSQL nothing is copied.
    expected = READ_ALL_ROWS - ({"0005"} if engine.dialect.name == "postgresql" else set())
    assert read_all == expected


@contextmanager
def rows_handled(connection: sa.Connection) -> Iterator[list[int]]:
    """At least how many rows the block reads and writes: none is handled in less than a step of
    SQLite's machine."""
    handled = [0]
    if connection.dialect.name == "postgresql":
        before = connection.exec_driver_sql(HANDLED).scalar_one()  # not in the statistics yet
        yield handled
        handled[0] = connection.exec_driver_sql(HANDLED).scalar_one() - before
        return
    machine: Any = connection.connection.driver_connection

    def count() -> None:
        handled[0] += 100

    machine.set_progress_handler(count, 100)
    yield handled
    machine.set_progress_handler(None, 0)


HANDLED: Final = """
SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd
    + n_tup_del), 0)::bigint FROM pg_stat_xact_user_tables
"""


def config(connection: sa.Connection) -> Config:
    """Alembic on this connection."""
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    alembic.attributes["connection"] = connection
    return alembic


def rows_of(engine: sa.Engine) -> dict[str, list[str]]:
    """All rows of each table as texts, in some order."""
    with engine.begin() as connection:
        return {
            table.name: sorted(
                str({name: value for name, value in row.items() if name not in _not_kept(table)})
                for row in connection.execute(sa.select(table)).mappings()
            )
            for table in metadata.sorted_tables
        }


def _not_kept(table: sa.Table) -> set[str]:
    return NOT_KEPT if table.name != "recordings" else NOT_KEPT - {"app"}


async def test_events_of_an_older_version_are_found_after_the_migration(
    empty_database_url: str,
) -> None:
    store = await Store.open(empty_database_url, source="test")
    for name in ("over", "going-on"):
        await record(store, name, at=NOW, ended=name == "over")
    await store.close()
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        command.downgrade(config(connection), "0007")
    engine.dispose()
    await (await Store.open(empty_database_url, source="test")).close()
    with engine.begin() as connection:
        for name, events in (("over", 4), ("going-on", 1)):
            is_own = schema.recordings.c.recording_id == name
            text = connection.execute(
                sa.select(schema.recordings.c.event_positions).where(is_own)
            ).scalar()
            of_name = sa.select(schema.outbox.c.position).where(
                schema.outbox.c.subject == name, schema.outbox.c.exchange != "results"
            )
            kept = sorted(connection.execute(of_name).scalars())
            found = [number for part in ranges_of(text) for number in range(part[0], part[1] + 1)]
            assert (found, len(kept)) == (kept, events)
    engine.dispose()
