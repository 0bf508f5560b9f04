"""Connections to the two databases, set up so that a commit is durable."""

import fcntl
import os.path
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable, WrongSettings

URL_SYNTAX: Final = (
    "DATABASE_URL: use sqlite:///relative.db, sqlite:////absolute.db or postgresql://…"
)
LOST_PEER_TIMEOUT_SECONDS: Final = 15
SILENCE_FACTOR: Final = 4 / 3
"""A server may be silent so many times longer than a lost peer, because the time-out of a statement
must come first."""

MIN_SQLITE_VERSION: Final = (3, 33, 0)
"""The oldest version that the worker supports."""

CHECKPOINT_PAGES: Final = 4_000
"""So many pages SQLite's write-ahead log may have before it is written back: 16 MB."""

CACHE_KIB: Final = 16 * 1024
"""The size of SQLite's page cache. After a long history, a start changes pages at random. The pages
of a large commit must fit into the cache, or some are written twice."""

MAX_WAL_BYTES: Final = 64 * 2**20
"""The size to which SQLite's write-ahead log is cut back."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "application_name": "recording-worker",
    "connect_timeout": 5,
    # A peer that vanished silently must be noticed.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": LOST_PEER_TIMEOUT_SECONDS * 1000,
    # No bitmap scans: they visit every row that left the index of unsent events and is not vacuumed
    # yet, at every execution. An index scan visits such a row once.
    # No hash and merge joins: rows to change are looked up one by one, even where reading the whole
    # table would be as fast today, because the table grows.
    # A new plan at each execution, for its number of ids: a generic plan is made while the tables
    # are small, reads them whole, and is kept while they grow.
    "options": f"-c statement_timeout={LOST_PEER_TIMEOUT_SECONDS}s -c lock_timeout=5s"
    " -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c plan_cache_mode=force_custom_plan",
}


def open_engine(url: str) -> sa.Engine:
    """An engine with one connection, which is not connected yet.

    Raises WrongSettings if the URL names neither database. Its text never repeats the URL.
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
    """The arguments with which psycopg connects to the database of a PostgreSQL engine."""
    _, of_url = engine.dialect.create_connect_args(engine.url)
    return _settings(of_url)


def _settings(of_url: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of every connection. The URL overrides them, option by option."""
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
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own
    # WAL survives kill -9. FULL makes a commit survive a power failure too.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    # For a statement that changes many rows, SQLite keeps the pages as they were before. They are
    # read only if the statement fails, so memory is enough.
    connection.execute("PRAGMA temp_store=MEMORY")
    # A page that every commit changes is written back once for many commits.
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    # A long read lets the log grow. Afterwards the log is cut back.
    connection.execute(f"PRAGMA journal_size_limit={MAX_WAL_BYTES}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # The driver would begin later and deferred. Then a read could not become a write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: sa.URL) -> sa.Engine:
    # Imported here, because SQLite does without the driver.
    from worker.store.database.psycopg_timeout import BoundedConnection

    settings = _settings(url.query)
    engine = sa.create_engine(
        url, pool_size=1, max_overflow=0, hide_parameters=True, connect_args=settings
    )
    timeout_seconds = int(settings["tcp_user_timeout"]) / 1000 * SILENCE_FACTOR

    @sa.event.listens_for(engine, "do_connect")
    def connect(
        _dialect: Any,  # noqa: ANN401 - the library's own
        _record: Any,  # noqa: ANN401
        arguments: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **settings)
        connection.timeout_seconds = timeout_seconds
        return connection

    return engine


def sqlite_lock(database: str | None) -> IO[bytes] | None:
    """Lock the file `<database>.lock` for this process. Closing the file, or dying, unlocks it.

    A worker that opens an SQLite file frees every lease, because every owner must be dead. With two
    workers on one file that would be wrong, and one meeting could be recorded twice.

    The lock lies beside the real file, whatever links the path has. None for a database in memory.
    Raises StoreUnavailable if another process has the lock.
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
