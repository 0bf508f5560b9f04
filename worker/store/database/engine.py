"""Connections to the two databases, set up so that a commit is durable."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable, WrongSettings
from worker.store.database.direct import begin_with
from worker.store.database.postgresql import (
    URL_SYNTAX,
    CurrentUrl,
    Pooler,
    is_postgresql,
    open_postgresql,
)
from worker.store.database.sqlite_files import PRIVATE_MODE

MIN_SQLITE_VERSION: Final = (3, 33, 0)
"""The oldest version that the worker supports."""

CHECKPOINT_PAGES: Final = 4_000
"""SQLite's write-ahead log may have this many pages before a checkpoint: 16 MB."""

CACHE_KIB: Final = 16 * 1024
"""The size of SQLite's page cache. After a long history, a start changes pages at random. The pages
of a large commit must fit into the cache, or some are written twice."""

_LOCK_IS_HELD: Final = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
"""The errors of a held lock. Another error means that the file system has no locks."""

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
"""The first bytes of every SQLite database, unless it is still empty."""

MAX_WAL_BYTES: Final = 64 * 2**20
"""The size to which SQLite's write-ahead log is cut back."""


def open_engine(
    url: str, *, pooler: Pooler = "none", current_url: CurrentUrl | None = None
) -> sa.Engine:
    """An engine with one connection, which is not connected yet.

    On PostgreSQL, each connection takes its user and its password from `current_url()`.
    Raises WrongSettings if the URL names neither database. Its text never repeats the URL.
    """
    if is_postgresql(url):
        return open_postgresql(
            url, pooler=pooler, current_url=current_url, pool_size=1, max_overflow=0
        )
    return _sqlite(sqlite_url(url))


def sqlite_url(url: str) -> sa.URL:
    """The parts of an SQLite URL.

    Raises WrongSettings for another URL, without repeating it, and StoreUnavailable for a relative
    path if the working directory was removed.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise WrongSettings([URL_SYNTAX]) from None
    if parsed.drivername != "sqlite":
        raise WrongSettings([URL_SYNTAX])
    _check_working_directory(parsed.database)
    return parsed


def _check_working_directory(database: str | None) -> None:
    if not database or database == ":memory:" or os.path.isabs(database):  # noqa: PTH117 - a text
        return
    try:
        Path.cwd()
    except FileNotFoundError:
        raise StoreUnavailable(
            f"{database} is relative to the working directory, which was removed: name an absolute "
            "path, or start in a folder that exists"
        ) from None


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
    database = url.database
    sa.event.listen(engine, "do_connect", lambda *_: make_private(database))
    sa.event.listen(engine, "connect", _set_up_sqlite)
    # The driver would begin later and deferred. Then a read could not become a write.
    begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def make_private(database: str | None) -> None:
    """Create the database if it is missing, and permit only its owner to read it. SQLite gives
    its other files the same mode."""
    if not database or database == ":memory:" or database.startswith("file:"):
        return
    database = os.path.realpath(database)  # SQLite's other files are in its folder
    if _is_foreign(database):  # another program may need its mode
        return
    with contextlib.suppress(OSError):  # SQLite reports what is wrong with the path
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
    for suffix in ("", "-wal", "-shm", ".lock"):
        path = Path(f"{database}{suffix}")
        with contextlib.suppress(OSError):  # the file is missing, or belongs to another user
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:  # never a device, which all programs share
                path.chmod(PRIVATE_MODE)


def _is_foreign(file: str) -> bool:
    """Whether the path is that of a file with other content than an SQLite database."""
    path = Path(file)
    try:
        if not path.is_file():  # a pipe would block
            return False
        with path.open("rb") as opened:
            return opened.read(len(_SQLITE_MAGIC)) not in {b"", _SQLITE_MAGIC}
    except OSError:
        return False  # it is missing or another user's, or cannot be looked at


def _set_up_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own
    # WAL survives kill -9. FULL makes a commit survive a power failure too.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    # For a statement that changes many rows, SQLite keeps the pages as they were before. They are
    # read only if the statement fails, so memory is enough.
    connection.execute("PRAGMA temp_store=MEMORY")
    # A page that every commit changes reaches the database file once for many commits.
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    # A long read lets the log grow. Afterwards the log is cut back.
    connection.execute(f"PRAGMA journal_size_limit={MAX_WAL_BYTES}")


def sqlite_lock(database: str | None) -> IO[bytes] | None:
    """Lock the file `<database>.lock` for this process. Closing the file, or dying, unlocks it.

    A worker that opens an SQLite file frees every lease, because every owner must be dead. With two
    workers on one file that would be wrong, and one meeting could be recorded twice.

    The lock is in the folder of the real file, even if the path has links. None for a database in
    memory. Raises StoreUnavailable if another process has the lock, if the volume has no locks, or
    if the path is that of a device, a pipe, a folder or a file with other content.
    """
    if not database or database == ":memory:":
        return None
    file = os.path.realpath(database)
    if os.path.lexists(file) and not os.path.isfile(file):  # noqa: PTH113 - a text, not a Path
        raise StoreUnavailable(f"{file} is not a file, so it cannot be a database")
    if _is_foreign(file):
        raise StoreUnavailable(f"{file} is not a database: it has other content")
    path = Path(f"{file}.lock")
    try:
        lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_MODE), "ab")
    except FileNotFoundError as error:
        raise StoreUnavailable(f"the folder {path.parent} does not exist") from error
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
    try:
        _check_record_locks(lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if error.errno not in _LOCK_IS_HELD:
            raise StoreUnavailable(
                f"the volume of {file} has no file locks ({error.strerror}): use a local disk or a "
                "block volume, or PostgreSQL"
            ) from error
        raise StoreUnavailable(
            f"another worker uses {file}: SQLite serves one process. Stop the other one, give "
            "this one another DATABASE_URL, or use PostgreSQL for several"
        ) from error
    return lock


def _check_record_locks(lock: IO[bytes]) -> None:
    """Raise OSError if the volume lacks the locks of parts of a file, which SQLite uses.

    Some volumes have only locks of whole files. A lock that another process holds proves nothing.
    """
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        fcntl.lockf(lock, fcntl.LOCK_UN, 1)
    except OSError as error:
        if error.errno not in _LOCK_IS_HELD:
            raise
