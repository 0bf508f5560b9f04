"""Writes a long history into a database, quickly: the rows of `lives`, millions of times.

The database multiplies them: each statement writes one row of each life for many recordings, with
new ids and times. All is one transaction, because SQLite would write a changed index page with each
transaction, and random ids change all pages each time. PostgreSQL's keys and indexes are built
afterwards. No statement waits for the disk before the end, so a database whose filling was
interrupted is unusable.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from benchmarks.history.lives import BEGAN, LIVES, SHARES, TABLES, Rows
from benchmarks.history.row_statements import (
    IDS,
    ISO,
    MAX_EVENTS,
    MINUTES,
    at,
    columns_of,
    select_row,
)
from worker.store.database.engine import open_engine
from worker.store.database.schema import outbox

CHUNK: Final = 10_000
"""The number of recordings per statement, a multiple of ten."""

DAY: Final = 86_400.0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """This many recordings that ended evenly within `days` before `until`, seconds since the epoch.

    The outbox has the events of the last `event_days`.
    """

    recordings: int
    until: float
    days: float = 30.5
    event_days: float = 7.0

    def ended_at(self, number: int) -> float:
        """When recording `number` ended."""
        return self.until - self.days * DAY * (1 - number / self.recordings)

    def id_of(self, id_kind: str, number: int) -> str:
        """The id that the database gives to this recording, or to its start, stop or meeting."""
        return uuid_of(f"{id_kind} {number}")

    @property
    def first_with_events(self) -> int:
        """The number of the oldest recording with kept events."""
        share = min(1.0, self.event_days / self.days)
        return CHUNK * int(self.recordings * (1 - share) / CHUNK)


def uuid_of(text: str) -> str:
    """A random-looking id, the same in both databases."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def patient_engine(url: str) -> sa.Engine:
    """An engine without the worker's time-outs. Building an index takes longer than those."""
    if url.startswith("postgresql://"):
        return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    return open_engine(url)


def fill(url: str, history: History, rows: Rows, say: Callable[[str], None]) -> None:
    """Write the history into a database whose tables are there and empty."""
    engine = patient_engine(url)
    try:
        with _unsynced_connection(engine) as connection:
            began = time.monotonic()
            with connection.begin():
                for first in range(0, history.recordings, CHUNK):
                    _fill_chunk(connection, history, rows, first)
                    if first % (20 * CHUNK) == 0:
                        say(f"{first:,} recordings after {time.monotonic() - began:.0f} s")
                _continue_positions(connection, history)
            say(f"{history.recordings:,} recordings after {time.monotonic() - began:.0f} s")
        say(f"indexes after {time.monotonic() - began:.0f} s")
    finally:
        engine.dispose()


@contextmanager
def _unsynced_connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that does not wait for the disk. PostgreSQL's indexes are built at its end."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.create_function("uuid_of", 1, uuid_of, deterministic=True)
        before, after = _SETTINGS[engine.dialect.name]
        for statement in before:
            driver_execute(connection, statement)
        indexes = _drop_indexes(connection)
        yield connection
        with connection.begin():
            for statement in indexes:
                connection.exec_driver_sql(statement)
        for statement in after:
            driver_execute(connection, statement)
    _analyze(engine)


SQLITE_CACHE_KIB: Final = 4 * 2**20
"""The index pages of five million recordings, which are 2 GB, must fit into SQLite's cache, in
addition to the pages of tables that are not yet written."""

_SETTINGS: Final = {
    "sqlite": (
        (
            "PRAGMA synchronous=OFF",
            "PRAGMA journal_mode=OFF",
            f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}",
        ),
        ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"),
    ),
    "postgresql": (
        (
            "SET synchronous_commit = off",
            "SET maintenance_work_mem = '1GB'",
            "ALTER SYSTEM SET max_wal_size = '4GB'",
            "SELECT pg_reload_conf()",
        ),
        ("ALTER SYSTEM RESET max_wal_size", "SELECT pg_reload_conf()", "CHECKPOINT"),
    ),
}
"""Statements before the filling, and after it."""


def driver_execute(connection: sa.Connection, statement: str) -> None:
    """Execute a statement outside of a transaction."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.execute(statement).fetchall()
        return
    driver.autocommit = True
    driver.execute(statement)
    driver.autocommit = False


def _analyze(engine: sa.Engine) -> None:
    """As autovacuum does; SQLite has no statistics, because the worker never makes any."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            driver_execute(connection, "VACUUM ANALYZE")


_POSTGRESQL_KEYS: Final = """
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype IN ('p', 'u') AND connamespace = current_schema()::regnamespace
"""
_POSTGRESQL_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
"""


def _drop_indexes(connection: sa.Connection) -> list[str]:
    """Drop the keys and indexes; returns the statements that create them again.

    SQLite keeps its own: they fit into its cache, and to build one it reads the whole file.
    """
    if connection.dialect.name == "sqlite":
        return []
    with connection.begin():
        keys = connection.exec_driver_sql(_POSTGRESQL_KEYS).all()
        for table, name, _ in keys:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        indexes = connection.exec_driver_sql(_POSTGRESQL_INDEXES).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    return [
        *(f"ALTER TABLE {table} ADD CONSTRAINT {name} {how}" for table, name, how in keys),
        *(definition for _, definition in indexes),
    ]


def _fill_chunk(connection: sa.Connection, history: History, rows: Rows, first: int) -> None:
    values = {"first": first, "last": min(first + CHUNK, history.recordings) - 1}
    _number(connection, history, values)
    ids = [columns_of(*life) for life in zip(LIVES, rows[outbox.name], strict=True)]
    for table in TABLES:
        if table is outbox and first < history.first_with_events:
            continue
        parts = [
            select_row(connection, list(table.c), row, number, ids[number])
            for number in range(len(LIVES))
            for row in rows[table.name][number]
        ]
        names = ", ".join(column.name for column in table.c)
        order = " ORDER BY 1" if table is outbox else ""
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) {' UNION ALL '.join(parts)}{order}"
        )


def _number(connection: sa.Connection, history: History, values: dict[str, int]) -> None:
    """The recordings of the next statements: their number, life, ids and time of their end."""
    if connection.dialect.name == "sqlite":
        numbers = (
            "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
        )
        ids = ", ".join(f"uuid_of('{id_kind} ' || i) AS {id_kind}" for id_kind in IDS)
        iso = "strftime('%Y-%m-%dT%H:%M:%SZ', {seconds}, 'unixepoch')"
        source = "n"
    else:
        numbers = ""
        ids = ", ".join(f"md5('{id_kind} ' || i)::uuid::text AS {id_kind}" for id_kind in IDS)
        iso = f"to_char(to_timestamp({{seconds}}) AT TIME ZONE 'UTC', '{ISO}')"
        source = "generate_series(CAST(:first AS int), CAST(:last AS int)) AS n(i)"
    step = history.days * DAY / history.recordings
    start = history.ended_at(0) - BEGAN.timestamp() - 3_570.0
    moments = {minutes: start + at(minutes).timestamp() for minutes in MINUTES}
    later = f"i * {_double(step)}"
    times = ", ".join(
        f"{iso.format(seconds=f'{_double(moment)} + {later}')} AS at_{minutes}"
        for minutes, moment in moments.items()
    )
    lives = " ".join(f"WHEN {number} THEN {life}" for number, life in enumerate(SHARES))
    connection.exec_driver_sql("DROP TABLE IF EXISTS past")
    columns = f"i, {_double(start)} + {later} AS shift, CASE i % {len(SHARES)} {lives} END AS life"
    query = f"{numbers} SELECT {columns}, {ids}, {times} FROM {source}"  # noqa: S608 - our own
    connection.execute(sa.text(f"CREATE TEMP TABLE past AS {query}"), values)


def _double(number: float) -> str:
    """PostgreSQL takes a bare number for a numeric, which is slow."""
    return f"CAST({number!r} AS DOUBLE PRECISION)"


def _continue_positions(connection: sa.Connection, history: History) -> None:
    """Continue the numbering of events after the old ones. SQLite does that without a statement."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence('outbox', 'position'),"
            f" {history.recordings * MAX_EVENTS})"
        )


def sizes(url: str) -> dict[str, int]:
    """The bytes of each table with its indexes. For SQLite, the bytes of the whole file."""
    engine = open_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            found = {"all": pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one()}
        else:
            total = "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"
            found = dict(connection.exec_driver_sql(total).all())
            found["all"] = sum(found.values())
    engine.dispose()
    return found
