"""The tables of a new database, their migrations, and tables that cannot be migrated.

The migration that may come next is written by the test.
"""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from recording_sandbox.services.pgbouncer import PgBouncer
from tests.catalogue import catalogue
from tests.contract.store.test_pruning import NOW, record
from worker.domain.errors import StoreUnavailable
from worker.store.database.engine import open_engine
from worker.store.database.migrate import (
    ADVISORY_LOCK,
    FIRST_RELEASE,
    FOLDER,
    HEAD,
    migrate,
    revision_of,
    upgrade,
)
from worker.store.database.postgresql import Pooler
from worker.store.database.schema import metadata
from worker.store.queries import RecordingsFilter
from worker.store.store import Store

NEXT: Final = f"{int(HEAD) + 1:04}"

ADDS: Final = """
    op.create_table("schedule", sa.Column("at", sa.Double, primary_key=True))
    op.add_column("recordings", sa.Column("region", sa.Text))
"""


def with_next(folder: Path, body: str) -> Path:
    """The worker's migrations and one more, with this body of its `upgrade`."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / f"versions/{NEXT}_sample.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f"revision = {NEXT!r}\ndown_revision = {HEAD!r}\n\n\n"
        f"def upgrade() -> None:\n{body}\n"
    )
    return folder


def rows_of(engine: sa.Engine) -> dict[str, list[sa.Row[Any]]]:
    """All rows of each table."""
    with engine.begin() as connection:
        return {
            table.name: list(connection.execute(sa.select(table).order_by(*table.c)))
            for table in metadata.sorted_tables
        }


# The tables of this version


def test_new_tables_equal_the_migrated_ones(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        migrate(connection)
        new = catalogue(connection)
        for name in sa.inspect(connection).get_table_names():
            connection.execute(sa.text(f"DROP TABLE {name}"))
        upgrade(connection)
        assert catalogue(connection) == new
    engine.dispose()


def test_the_newest_migration_is_the_one_the_worker_asks_for() -> None:
    assert max(path.name[:4] for path in FOLDER.glob("versions/[0-9]*.py")) == HEAD


# A later migration


async def test_a_migration_keeps_all_rows_and_the_version_before_continues(
    database_url: str, tmp_path: Path
) -> None:
    store = await Store.open(database_url, source="test")
    await record(store, "over", at=NOW)
    await record(store, "going-on", at=NOW, ended=False)
    await store.close()
    engine = open_engine(database_url)
    kept = rows_of(engine)
    folder = with_next(tmp_path / "100%", ADDS)
    with engine.begin() as connection:
        migrate(connection, head=NEXT, folder=folder)
        assert revision_of(connection) == NEXT
        assert sa.inspect(connection).has_table("schedule")
    assert rows_of(engine) == kept
    engine.dispose()  # a worker needs exclusive use of an SQLite file
    store = await Store.open(database_url, source="test")
    await record(store, "later", at=NOW)
    for name in ("over", "going-on", "later"):
        by_start = RecordingsFilter(start_id=f"start-{name}")
        assert [recording.recording_id for recording in await store.recordings(by_start)] == [name]
    await store.close()


def test_a_migration_that_fails_leaves_nothing_behind_and_can_be_repeated(
    database_url: str, tmp_path: Path
) -> None:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        before = catalogue(connection)
    failing = with_next(tmp_path / "failing", f"{ADDS}\n    raise OSError('No space left')")
    with pytest.raises(OSError, match="No space"), engine.begin() as connection:
        migrate(connection, head=NEXT, folder=failing)
    with engine.begin() as connection:
        assert (revision_of(connection), catalogue(connection)) == (HEAD, before)
    with engine.begin() as connection:
        migrate(connection, head=NEXT, folder=with_next(tmp_path / "mended", ADDS))
        assert revision_of(connection) == NEXT
    engine.dispose()


@pytest.mark.parametrize("pooler", ["none", "transaction"])
async def test_of_replicas_that_start_together_one_migrates(
    pooler: Pooler, postgresql_url: str, pgbouncer: PgBouncer, tmp_path: Path
) -> None:
    """A second migration would fail, because the table is there already."""
    url = postgresql_url if pooler == "none" else pgbouncer.url(postgresql_url)
    folder = with_next(tmp_path / "next", ADDS)

    def start() -> str | None:
        engine = open_engine(url, pooler=pooler)
        with engine.begin() as connection:
            migrate(connection, head=NEXT, folder=folder)
            revision = revision_of(connection)
        engine.dispose()
        return revision

    with psycopg.connect(postgresql_url) as earlier:
        earlier.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        replicas = [asyncio.create_task(asyncio.to_thread(start)) for _ in range(3)]
        async with asyncio.timeout(30):
            while await asyncio.to_thread(waiting_sessions, postgresql_url) < len(replicas):
                pass
        earlier.commit()
    assert await asyncio.gather(*replicas) == [NEXT] * len(replicas)


def waiting_sessions(url: str) -> int:
    """The number of sessions that found older tables and wait for the lock."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE '%pg_try_advisory_xact_lock%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


# A migration reads no history

ROWS: Final = 5_000

HISTORY: Final = (
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
    """
    INSERT INTO archive_files (recording_id, file_index, app, state, file, queued_at, expires_at,
        urgent_at, round, attempts, refusals, denials)
    SELECT 'r' || n, 1, 'default', 'archived', '{}', 1.0, 1.0, 1.0, 1, 1, 0, 0 FROM n
    """,
    """
    INSERT INTO archive_recordings (recording_id, app, changes, attempts)
    SELECT 'r' || n, 'default', 1, 0 FROM n
    """,
    """
    INSERT INTO archive_timeline (recording_id, sequence, status_time)
    SELECT 'r' || n, 1, '{}' FROM n
    """,
)
NUMBERS: Final = {
    "sqlite": f"""
    WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
    """,  # noqa: S608
    "postgresql": f"WITH n AS (SELECT generate_series(1, {ROWS}) AS n)",
}


@pytest.fixture
def history(empty_database_url: str) -> Iterator[sa.Engine]:
    """The tables of the first release, with many finished rows in each that keeps history."""
    engine = open_engine(empty_database_url)
    with engine.begin() as connection:
        upgrade(connection, head=FIRST_RELEASE)
        for statement in HISTORY:
            connection.exec_driver_sql(NUMBERS[engine.dialect.name] + statement)
    yield engine
    engine.dispose()


def reads_history(connection: sa.Connection, revision: str, folder: Path = FOLDER) -> bool:
    """Whether the next migration handles as many rows as a table of history has. Applies it."""
    with rows_handled(connection) as handled:
        upgrade(connection, head=revision, folder=folder)
    return handled[0] >= ROWS


@contextmanager
def rows_handled(connection: sa.Connection) -> Iterator[list[int]]:
    """At least as many rows as the block reads and writes.

    For SQLite, it counts steps of the virtual machine, because each row takes at least one.
    """
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


def test_no_migration_reads_or_writes_the_rows_of_history(history: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    later = sorted(script.revision for script in scripts if script.revision > FIRST_RELEASE)
    found = []
    for revision in later:
        with history.begin() as connection:
            if reads_history(connection, revision):
                found.append(revision)
    assert found == []


OFFENCES: Final = {
    "an index of recordings": 'op.create_index("i", "recordings", ["app", "meeting_id"])',
    "an index of few recordings": """op.execute(
        "CREATE INDEX i ON recordings (meeting_id) WHERE read_at IS NOT NULL"
    )""",
    "an index of copies": 'op.create_index("i", "archive_files", ["recording_id", "round"])',
    "a new value in each command": "op.execute(\"UPDATE inbox SET app = 'default'\")",
    "old events removed": 'op.execute("DELETE FROM outbox WHERE sent_at < 2")',
    "a table filled from another": """op.execute(
        "CREATE TABLE names AS SELECT recording_id, file_name FROM files"
    )""",
    "each manifest read": """op.get_bind().execute(
        sa.text("SELECT count(changes) FROM archive_recordings")
    )""",
    "a check of each status": """op.execute(
        "ALTER TABLE archive_timeline ADD COLUMN source TEXT NOT NULL DEFAULT '' "
        "CHECK (source <> status_time)"
    )""",
}
"""Bodies of migrations that take longer with a longer history."""


def test_a_migration_that_reads_or_writes_history_is_found(
    history: sa.Engine, tmp_path: Path
) -> None:
    samples = {**OFFENCES, "only additions": ADDS}
    found = set()
    for number, (name, body) in enumerate(samples.items()):
        folder = with_next(tmp_path / str(number), f"    {body.strip()}")
        with history.connect() as connection, connection.begin() as transaction:
            if reads_history(connection, NEXT, folder):
                found.add(name)
            transaction.rollback()
    assert found == OFFENCES.keys()


# Tables that are not migrated


@pytest.mark.parametrize("revision", ["0001", "0016"])
async def test_tables_from_before_the_first_release_are_refused_and_left_alone(
    revision: str, database_url: str
) -> None:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX files_url_expiry")  # they had none yet
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
        connection.exec_driver_sql("INSERT INTO leases VALUES ('leader', 'somebody', 1e12)")
        before = catalogue(connection)
    rows = rows_of(engine)
    engine.dispose()
    advice = rf"revision {revision}, .* worker of commit fecc428 .* once, or use a new database"
    with pytest.raises(StoreUnavailable, match=advice):
        await Store.open(database_url, source="test")
    with engine.begin() as connection:
        assert (revision_of(connection), catalogue(connection)) == (revision, before)
    assert rows_of(engine) == rows
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
