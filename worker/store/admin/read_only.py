"""Reads the state store while workers run. Nothing is migrated, freed or created."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable, WrongSettings
from worker.store.database.advice import reason_of
from worker.store.database.engine import sqlite_url
from worker.store.database.migrate import HEAD, check_that_it_is_released, revision_of
from worker.store.database.postgresql import (
    READER,
    URL_SYNTAX,
    CurrentUrl,
    Pooler,
    is_postgresql,
    open_postgresql,
)

P = ParamSpec("P")
ResultT = TypeVar("ResultT")
Query = Callable[Concatenate[sa.Connection, P], ResultT]

READ_ONLY_TIMEOUT_SECONDS: Final = 5


@contextmanager
def open_read_only(url: str, *, pooler: Pooler = "none") -> Iterator[sa.Connection]:
    """A connection to a database that a worker of this version or a newer one has used.

    `url` is a DATABASE_URL. Raises StoreUnavailable, also for a database that no such worker has
    used, and WrongSettings for a URL of no known database.
    """
    engine = read_only_engine(url, pooler=pooler)
    try:
        with read_errors(), engine.connect() as connection:
            check_revision(connection)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def read_errors() -> Iterator[None]:
    """Raise StoreUnavailable for the errors of a database."""
    try:
        yield
    except exc.DBAPIError as error:
        raise StoreUnavailable(f"the database cannot be read: {reason_of(error)}") from error.orig


def check_revision(connection: sa.Connection, *, head: str = HEAD) -> None:
    """Raise StoreUnavailable unless a worker of this version or a newer one has used it.

    This version reads revision `head` and newer.
    """
    revision = revision_of(connection)
    if revision is None:
        raise StoreUnavailable("the database has no tables: no worker has used it yet")
    check_that_it_is_released(revision)
    if revision < head:  # tables and columns of newer versions may be ignored
        raise StoreUnavailable(
            f"the database is at revision {revision}, and this version reads {head} and newer: use "
            "the version that the workers have"
        )


def read_only_engine(
    url: str,
    *,
    pooler: Pooler = "none",
    session: Mapping[str, str] = READER,
    current_url: CurrentUrl | None = None,
) -> sa.Engine:
    """An engine whose connections cannot write. `session` are settings of PostgreSQL. There, each
    connection takes its user and its password from `current_url()`.

    Raises StoreUnavailable if an SQLite file does not exist or cannot be looked at, and
    WrongSettings for a URL of no known database.
    """
    if is_postgresql(url):
        return open_postgresql(
            url, pooler=pooler, session=session, current_url=current_url, poolclass=sa.NullPool
        )
    if database := sqlite_url(url).database:
        return _sqlite(Path(database))
    raise WrongSettings([URL_SYNTAX])


def _sqlite(path: Path) -> sa.Engine:
    try:
        exists = path.exists()
    except OSError as error:  # the user may not search the folder, or the name is too long
        raise StoreUnavailable(f"the file {path} cannot be read: {error.strerror}") from error
    if not exists:
        raise StoreUnavailable(f"there is no file {path}: no worker has used it yet")
    read_only = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(read_only, uri=True, timeout=READ_ONLY_TIMEOUT_SECONDS),
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
