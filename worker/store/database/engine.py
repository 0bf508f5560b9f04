"""Connections to the two databases, set up so that a commit means durable."""

import fcntl
import os.path
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable, WrongSettings

URL_SYNTAX = "DATABASE_URL: use sqlite:///relative.db, sqlite:////absolute.db or postgresql://…"
LOST_PEER_TIMEOUT_SECONDS: Final = 15
SILENCE_FACTOR: Final = 4 / 3
"""How much longer than a lost peer a server may be silent: a statement's time-out goes first."""

MIN_SQLITE_VERSION: Final = (3, 33, 0)
"""The first that changes rows by those that are given (`UPDATE … FROM`)."""

CHECKPOINT_PAGES: Final = 4_000
"""How long SQLite's write-ahead log grows before it is written back: 16 MB."""

CACHE_KIB: Final = 16 * 1024
"""How much SQLite may keep of its pages. After a long history a start changes some at random: those
of a large commit must fit, or some are written twice."""

MAX_WAL_BYTES: Final = 64 * 2**20
"""How large SQLite's write-ahead log may stay."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "application_name": "recording-worker",
    "connect_timeout": 5,
    # A peer that vanished without a word must be noticed, not waited for.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": LOST_PEER_TIMEOUT_SECONDS * 1000,
    # Without bitmap scans: they visit every row that left the index of unsent events and is not
    # vacuumed yet, time and again, where an index scan does so once.
    # Without hash and merge joins: rows that are given to be changed are looked up one by one, also
    # where a whole table would be read as fast today.
    # And planned at each execution, for its number of ids: a plan for any number is made while
    # tables are small, reads them whole, and is kept while they grow.
    "options": f"-c statement_timeout={LOST_PEER_TIMEOUT_SECONDS}s -c lock_timeout=5s"
    " -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c plan_cache_mode=force_custom_plan",
}


def open_engine(url: str) -> sa.Engine:
    """An engine of one connection. Nothing is connected yet.

    Raises WrongSettings when the URL is of neither database; its text never repeats the URL.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise WrongSettings([URL_SYNTAX]) from None
    if parsed.drivername == "sqlite":
        return _sqlite(parsed)
    if parsed.drivername in {"postgresql", "postgres"}:
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise WrongSettings([URL_SYNTAX])


def connect_arguments(engine: sa.Engine) -> dict[str, Any]:
    """What psycopg connects to a PostgreSQL engine's database with, beside the engine."""
    _, of_url = engine.dialect.create_connect_args(engine.url)
    return _settings(of_url)


def _settings(of_url: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of every connection. The URL has the last word, option by option."""
    options = f"{_SETTINGS['options']} {of_url.get('options', '')}".rstrip()
    return {**_SETTINGS, **of_url, "options": options}


def _sqlite(url: sa.URL) -> sa.Engine:
    if sqlite3.sqlite_version_info < MIN_SQLITE_VERSION:
        oldest = ".".join(map(str, MIN_SQLITE_VERSION))
        raise WrongSettings(
            [f"DATABASE_URL: Python's SQLite is {sqlite3.sqlite_version}; {oldest} is needed"]
        )
    engine = sa.create_engine(
        url,
        poolclass=sa.StaticPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 5.0, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own
        # WAL survives kill -9; FULL makes a commit survive the loss of power too.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        # As pages were before a statement of many rows they are kept in memory, where it keeps
        # them at all (see rows.py): they are read only should it fail.
        connection.execute("PRAGMA temp_store=MEMORY")
        # Pages that every commit touches are written back once for many of them.
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        # A reader that stayed long lets the log grow; it gives that back afterwards.
        connection.execute(f"PRAGMA journal_size_limit={MAX_WAL_BYTES}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # The driver would begin late and deferred, and a read could not become a write then.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    from worker.store.database.psycopg_timeout import (
        BoundedConnection,  # with a driver that SQLite does without
    )

    settings = _settings(url.query)
    engine = sa.create_engine(
        url, pool_size=1, max_overflow=0, hide_parameters=True, connect_args=settings
    )
    patience = int(settings["tcp_user_timeout"]) / 1000 * SILENCE_FACTOR

    @sa.event.listens_for(engine, "do_connect")
    def connect(
        _dialect: Any,  # noqa: ANN401 - the library's own
        _record: Any,  # noqa: ANN401
        arguments: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **settings)
        connection.patience = patience
        return connection

    return engine


def sqlite_lock(database: str | None) -> IO[bytes] | None:
    """Take the file `<database>.lock` for this process; closing it, or dying, gives it back.

    It lies beside the file that the path leads to, however it is spelt. None for a database in
    memory. Raises StoreUnavailable when another process has it.
    """
    if not database or database == ":memory:":
        return None
    file = os.path.realpath(database)
    path = Path(f"{file}.lock")
    try:
        lock = path.open("ab")
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreUnavailable(
            f"another worker uses {file}: SQLite serves one process. Stop the other one, give "
            "this one another DATABASE_URL, or use PostgreSQL for several"
        ) from error
    return lock
