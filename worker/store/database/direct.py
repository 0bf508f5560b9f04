"""Gives statements to the driver, past SQLAlchemy's execution (docs/adr/0036).

SQLAlchemy still compiles them, once in a process for each engine. Its execution costs six times as
much as SQLite's, and many times that when the processor has done something else in between: this is
so for each single command at an everyday rate. So the statements of a command's path use this.

Values are given by name, as the driver takes them. On SQLite a boolean is read as 0 or 1.

On PostgreSQL each statement costs a round trip. So after `begin_queued` a
statement without rows waits for the next one with rows, or for the commit, and all of them go in
one message. It is one message, so that the server's time-out for an idle transaction always runs
while it waits for this process. That is not so in the protocol's pipeline.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import sqlite

Values = Mapping[str, Any]
Statement = sa.Select[Any] | sa.Insert | sa.Update | sa.TextClause

STATEMENT_WATCHERS: Final[list[Callable[[str, Values], None]]] = []
"""Called with each direct statement and its values when it is given to the driver or the queue, for
tools and tests: SQLAlchemy's events do not see it."""

_QUEUE: Final = "recording_worker_queue"


class DirectStatement:
    """One statement. `columns` are those that the values of an insert name; None: all."""

    def __init__(self, statement: Statement, columns: Collection[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, tuple[str, Values]] = {}

    def rows(self, connection: sa.Connection, values: Values) -> list[tuple[Any, ...]]:
        """Execute it, and return all rows."""
        text, constants = self._text(connection)
        values = {**constants, **values}
        rows = _rows(connection, text, values)
        if STATEMENT_WATCHERS:
            _tell_watchers(text, values)
        return rows

    def execute(self, connection: sa.Connection, values: Values) -> None:
        """Execute it, at the latest with the commit."""
        text, constants = self._text(connection)
        values = {**constants, **values}
        _execute(connection, text, values)
        if STATEMENT_WATCHERS:
            _tell_watchers(text, values)

    def execute_for_each(self, connection: sa.Connection, rows: Sequence[Values]) -> None:
        """Execute it for each of the rows, in order."""
        for row in rows:
            self.execute(connection, row)

    def _text(self, connection: sa.Connection) -> tuple[str, Values]:
        name = connection.dialect.name
        if (known := self._compiled.get(name)) is None:
            known = self._compiled[name] = self._compile(connection.dialect)
        return known

    def _compile(self, dialect: sa.Dialect) -> tuple[str, Values]:
        if dialect.name == "sqlite":  # by name, because the order of the values is SQLAlchemy's
            dialect = sqlite.dialect(paramstyle="named")
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        constants = {key: value for key, value in compiled.params.items() if value is not None}
        return str(compiled), constants


def _tell_watchers(text: str, values: Values) -> None:
    for watcher in STATEMENT_WATCHERS:
        watcher(text, values)


def execute_text(connection: sa.Connection, text: str) -> None:
    """Execute statements without values, at the latest with the commit."""
    _execute(connection, text, None)


def queue_statements(engine: sa.Engine) -> None:
    """Let this engine's transactions begin with the queue, and their queued statements go before
    SQLAlchemy's own."""

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.info.get(_QUEUE) == []:  # else it has a BEGIN of its own
            execute_text(connection, "BEGIN")

    @sa.event.listens_for(engine, "before_cursor_execute")
    def before(connection: sa.Connection, *_: object) -> None:
        _send_queued(connection)

    @sa.event.listens_for(engine, "commit")
    def commit(connection: sa.Connection) -> None:
        queue: list[str] | None = connection.info.get(_QUEUE)
        if queue is not None:  # then the driver finds nothing more to commit
            queue.append("COMMIT")
            _send_queued(connection)


def begin_queued(connection: sa.Connection) -> None:
    """Queue statements from now on, in the transaction that begins next."""
    connection.info[_QUEUE] = []


def _send_queued(connection: sa.Connection) -> Any:  # noqa: ANN401 - the driver's cursor
    """Send the queue in one message. Returns the cursor with the results of all statements."""
    queue: list[str] | None = connection.info.get(_QUEUE)
    if not queue:
        return None
    text = ";\n".join(queue)
    queue.clear()
    driver: Any = connection.connection.driver_connection
    with _Errors(connection):
        # Several statements cannot be prepared.
        return driver.execute(text, prepare=False)


def _execute(connection: sa.Connection, text: str, values: Values | None) -> None:
    queue: list[str] | None = connection.info.get(_QUEUE)
    driver: Any = connection.connection.driver_connection
    with _Errors(connection):
        if queue is not None:
            queue.append(_with_literals(driver, text, values))
        elif values is None:
            driver.execute(text)
        else:
            driver.execute(text, values)


def _rows(connection: sa.Connection, text: str, values: Values) -> list[tuple[Any, ...]]:
    driver: Any = connection.connection.driver_connection
    queue: list[str] | None = connection.info.get(_QUEUE)
    with _Errors(connection):
        if queue:
            queue.append(_with_literals(driver, text, values))
            cursor = _send_queued(connection)
            while cursor.nextset():
                pass
        else:
            cursor = driver.execute(text, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _with_literals(driver: Any, text: str, values: Values | None) -> str:  # noqa: ANN401
    """The statement with its values as the driver quotes them."""
    if values is None:
        return text
    import psycopg  # SQLite does without this driver

    return psycopg.ClientCursor(driver).mogrify(text, values)


class _Errors:
    """Raises SQLAlchemy's errors for the driver's, and invalidates a lost connection.

    A class, because a generator costs more for each statement.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        connection, dialect = self._connection, self._connection.dialect
        dbapi: Any = dialect.dbapi
        if not isinstance(error, dbapi.Error):
            return
        if dialect.is_disconnect(error, connection.connection.driver_connection, None):
            connection.invalidate(error)
        raise exc.DBAPIError.instance(
            None, None, error, dbapi.Error, hide_parameters=True, dialect=dialect
        ) from error
