"""Gives statements to the driver, past SQLAlchemy's execution (docs/adr/0036).

SQLAlchemy still compiles them, once in a process for each engine. Its execution costs six times as
much as SQLite's, and many times that when the processor has done something else in between: this is
so for each single command at an everyday rate. So the statements of a command's path use this.

Values are given by name, as the driver takes them. On SQLite a boolean is read as 0 or 1.

On PostgreSQL each statement costs a round trip. So after `begin_queued` statements wait until their
rows are needed, or for the commit, and all of them go in one message. It is one message, so that
the server's time-out for an idle transaction always runs while it waits for this process. That is
not so in the protocol's pipeline.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import sqlite

Values = Mapping[str, Any]
Rows = list[tuple[Any, ...]]
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

    def rows(self, connection: sa.Connection, values: Values) -> Rows:
        """Execute it, and return all rows."""
        return self.later_rows(connection, values).get()

    def later_rows(self, connection: sa.Connection, values: Values) -> "LaterRows":
        """Execute it, at the latest when its rows are asked for, or with the commit."""
        text, constants = self._text(connection)
        values = {**constants, **values}
        rows = _later_rows(connection, text, values)
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


class LaterRows:
    """The rows of a statement, which may still wait in the queue.

    After the commit the rows are there. After a rollback they are not to be had.
    """

    def __init__(self, connection: sa.Connection, rows: Rows | None = None) -> None:
        self._connection = connection
        self._rows = rows

    def get(self) -> Rows:
        """All rows. Sends the queue if the statement is in it."""
        if self._rows is None:
            _send_queued(self._connection)
        assert self._rows is not None  # noqa: S101 - whoever sends the queue sets them
        return self._rows

    def set(self, rows: Rows) -> None:
        """Called once, with the server's answer."""
        self._rows = rows


class _Queue:
    """Statements that wait to be sent, and those among them whose rows somebody wants."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.later: list[tuple[int, LaterRows]] = []
        """Each with the number of statements before it."""


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
        queue = _queue_of(connection)
        if queue is not None and not queue.texts:  # else it has a BEGIN of its own
            execute_text(connection, "BEGIN")

    @sa.event.listens_for(engine, "before_cursor_execute")
    def before(connection: sa.Connection, *_: object) -> None:
        _send_queued(connection)

    @sa.event.listens_for(engine, "commit")
    def commit(connection: sa.Connection) -> None:
        queue = _queue_of(connection)
        if queue is not None:  # then the driver finds nothing more to commit
            queue.texts.append("COMMIT")
            _send_queued(connection)


def begin_queued(connection: sa.Connection) -> None:
    """Queue statements from now on, in the transaction that begins next."""
    connection.info[_QUEUE] = _Queue()


def _queue_of(connection: sa.Connection) -> _Queue | None:
    queue: _Queue | None = connection.info.get(_QUEUE)
    return queue


def _send_queued(connection: sa.Connection) -> None:
    """Send the queue in one message, and give their rows to those who want them."""
    queue = _queue_of(connection)
    if queue is None or not queue.texts:
        return
    texts, later = queue.texts, queue.later
    queue.texts, queue.later = [], []
    driver: Any = connection.connection.driver_connection
    with _Errors(connection):
        # Several statements cannot be prepared.
        cursor = driver.execute(";\n".join(texts), prepare=False)
        if later:
            # Counted from the end, because the first text may be several statements.
            results = _last_results(cursor, len(texts) - later[0][0])
            for index, rows in later:
                rows.set(results[index - len(texts)])


def _last_results(cursor: Any, count: int) -> Sequence[Rows]:  # noqa: ANN401 - the driver's
    results = deque[Rows](maxlen=count)
    while True:
        results.append(cursor.fetchall() if cursor.description else [])
        if not cursor.nextset():
            return results


def _execute(connection: sa.Connection, text: str, values: Values | None) -> None:
    queue = _queue_of(connection)
    driver: Any = connection.connection.driver_connection
    with _Errors(connection):
        if queue is not None:
            queue.texts.append(_with_literals(driver, text, values))
        elif values is None:
            driver.execute(text)
        else:
            driver.execute(text, values)


def _later_rows(connection: sa.Connection, text: str, values: Values) -> LaterRows:
    queue = _queue_of(connection)
    driver: Any = connection.connection.driver_connection
    with _Errors(connection):
        if queue is None:
            return LaterRows(connection, driver.execute(text, values).fetchall())
        later = LaterRows(connection)
        queue.later.append((len(queue.texts), later))
        queue.texts.append(_with_literals(driver, text, values))
        return later


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
        is_lost = dialect.is_disconnect(error, connection.connection.driver_connection, None)
        if is_lost:
            connection.invalidate(error)
        raise exc.DBAPIError.instance(
            None,
            None,
            error,
            dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=dialect,
        ) from error
