"""Counts what databases commit, as their drivers report it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa

COMMITTED = b'CommandComplete\t "COMMIT"'
"""How libpq's trace shows that PostgreSQL has committed."""


class CommitCounter:
    """Counts the commits of all connections that SQLAlchemy opens from now on."""

    def __init__(self, trace: FileIO) -> None:
        self._sqlite = 0
        self._trace = trace

    def count(self) -> int:
        """How many transactions were committed so far."""
        self._trace.seek(0)
        return self._sqlite + self._trace.read().count(COMMITTED)

    def on_connect(self, connection: Any, _record: object) -> None:
        """Watch a connection of a driver."""
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(self._on_statement)
        else:
            connection.pgconn.trace(self._trace.fileno())

    def _on_statement(self, text: str) -> None:
        self._sqlite += text == "COMMIT"


@contextmanager
def counted_commits(trace: Path) -> Iterator[CommitCounter]:
    """Counts the commits of all connections that are opened meanwhile, and must be closed then.

    `trace` is a new file for libpq.
    """
    with FileIO(trace, "a+") as file:
        counter = CommitCounter(file)
        sa.event.listen(sa.Pool, "connect", counter.on_connect)
        try:
            yield counter
        finally:
            sa.event.remove(sa.Pool, "connect", counter.on_connect)
