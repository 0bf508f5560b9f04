"""Reads the state repeatedly for a long-running process such as the console.

Each read has its own connection and a time-out, so that it cannot slow the workers down.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, cast

import sqlalchemy as sa

from worker.store.admin.read_only import (
    P,
    Query,
    ResultT,
    check_revision,
    read_errors,
    read_only_engine,
)
from worker.store.database.postgresql import READER, CurrentUrl, Pooler, is_postgresql

READ_TIMEOUT_SECONDS: Final = 5.0

_SESSION: Final[Mapping[str, str]] = {
    **READER,
    "statement_timeout": f"{READ_TIMEOUT_SECONDS:g}s",
    "idle_in_transaction_session_timeout": "10s",
}
_SQLITE_STEPS: Final = 20_000
"""How many steps of SQLite's virtual machine pass between two checks of the clock: about a
millisecond."""


class StateReader:
    """Opens read-only connections to the database of a DATABASE_URL. Threads may share it.

    The database may appear later, and workers may migrate it meanwhile. Each connection to
    PostgreSQL takes its user and its password from `current_url()`.
    """

    def __init__(
        self,
        url: str,
        *,
        pooler: Pooler = "none",
        current_url: CurrentUrl | None = None,
        timeout: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._current_url = current_url
        self._pooler: Pooler = pooler
        self._timeout = timeout
        self._engine: sa.Engine | None = None
        self._is_checked = False

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection for one read.

        Raises StoreUnavailable, also when the read takes too long, and WrongSettings for a URL of
        no known database.
        """
        engine = self._engine = self._engine or read_only_engine(
            self._url, pooler=self._pooler, session=_SESSION, current_url=self._current_url
        )
        with read_errors(), engine.connect() as connection:
            if not is_postgresql(self._url):
                _interrupt_late(connection, time.monotonic() + self._timeout)
            if not self._is_checked:
                check_revision(connection)
                self._is_checked = True
            yield connection

    def read(
        self,
        query: Query[P, ResultT],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultT:
        """The result of one query. Raises as `connect` does."""
        with self.connect() as connection:
            return query(connection, *args, **kwargs)

    def close(self) -> None:
        """Drop the engine. A later read makes a new one."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _interrupt_late(connection: sa.Connection, deadline: float) -> None:
    """Let SQLite end a statement after the deadline, as PostgreSQL does itself."""
    raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _SQLITE_STEPS)
