"""Passes statements directly to the driver, without SQLAlchemy's execution (docs/adr/0036).

SQLAlchemy still compiles them, once in a process for each engine. Its execution costs six times as
much as SQLite's, and many times that if the processor did something else in between, as it does
between single commands. So the statements of a command's path use this.

Values are given by name, in the driver's form. On SQLite a boolean is read as 0 or 1.

On PostgreSQL each statement costs a round trip. So on a connection of `connect_direct` statements
wait until their rows are needed, or for the commit. Then all of them go in one message. With one
message, the server's time-out for an idle transaction runs whenever the server waits for this
process. With the protocol's pipeline it would not.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
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

_DRIVER: Final = "recording_worker_driver"
_BEGIN: Final = "recording_worker_begin"


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
        driver = _driver_of(connection)
        text, constants = self._compiled.get(driver.dialect) or self._compile(connection.dialect)
        values = {**constants, **values}
        rows = driver.later_rows(connection, text, values)
        if STATEMENT_WATCHERS:
            _notify_watchers(text, values)
        return rows

    def execute(self, connection: sa.Connection, values: Values) -> None:
        """Execute it, at the latest with the commit."""
        driver = _driver_of(connection)
        text, constants = self._compiled.get(driver.dialect) or self._compile(connection.dialect)
        values = {**constants, **values}
        driver.execute(connection, text, values)
        if STATEMENT_WATCHERS:
            _notify_watchers(text, values)

    def execute_for_each(self, connection: sa.Connection, rows: Sequence[Values]) -> None:
        """Execute it for each of the rows, in order."""
        for row in rows:
            self.execute(connection, row)

    def _compile(self, dialect: sa.Dialect) -> tuple[str, Values]:
        """The statement's text and its constant values, which are kept for the next execution."""
        name = dialect.name
        if name == "sqlite":  # by name, because the order of the values is SQLAlchemy's
            dialect = sqlite.dialect(paramstyle="named")
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        constants = {key: value for key, value in compiled.params.items() if value is not None}
        self._compiled[name] = str(compiled), constants
        return self._compiled[name]


class LaterRows:
    """The rows of a statement, which may still wait in the queue.

    After the commit the rows are available. After a rollback they are not.
    """

    def __init__(self, connection: sa.Connection, rows: Rows | None = None) -> None:
        self._connection = connection
        self._rows = rows

    def get(self) -> Rows:
        """All rows. Sends the queue if the statement is in it."""
        if self._rows is None:
            _driver_of(self._connection).send_queued(self._connection)
        assert self._rows is not None  # noqa: S101 - whoever sends the queue sets them
        return self._rows

    def set(self, rows: Rows) -> None:
        """Called once, with the server's answer."""
        self._rows = rows


def _notify_watchers(text: str, values: Values) -> None:
    for watcher in STATEMENT_WATCHERS:
        watcher(text, values)


def execute_text(connection: sa.Connection, text: str) -> None:
    """Execute statements without values, at the latest with the commit."""
    _driver_of(connection).execute(connection, text, None)


def begin_with(engine: sa.Engine, text: str) -> None:
    """Begin each transaction of this engine with these statements."""
    engine.update_execution_options(**{_BEGIN: text})

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        execute_text(connection, text)


def connect_direct(engine: sa.Engine) -> sa.Connection:
    """A connection whose first transaction has begun. `begin` and `commit` are only for it.

    SQLAlchemy's begin and commit take ten times as long as the driver's. So for SQLAlchemy, the
    whole life of this connection is one transaction. Closing the connection rolls back.
    """
    connection = engine.connect()
    try:
        if engine.dialect.name == "postgresql":
            # The driver would send its BEGIN alone.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            _driver_of(connection).queue = _Queue()
        connection.begin()
        if _BEGIN not in connection.get_execution_options():
            begin(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def begin(connection: sa.Connection) -> None:
    """Begin a transaction after `commit`, at the latest when something is executed."""
    execute_text(connection, connection.get_execution_options().get(_BEGIN, "BEGIN"))


def commit(connection: sa.Connection) -> None:
    """Commit the transaction. On PostgreSQL, this executes what is still queued."""
    driver = _driver_of(connection)
    driver.execute(connection, "COMMIT", None)
    driver.send_queued(connection)


def send_queue_before_sqlalchemy(engine: sa.Engine) -> None:
    """Send queued statements before those that SQLAlchemy executes."""

    @sa.event.listens_for(engine, "before_cursor_execute")
    def before(connection: sa.Connection, *_: object) -> None:
        _driver_of(connection).send_queued(connection)


class _Queue:
    """Statements that wait to be sent, and those among them whose rows are needed."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.later: list[tuple[int, LaterRows]] = []
        """Each with the number of statements before it."""


class _Driver:
    """The driver's connection below a connection of SQLAlchemy, and the queue, if there is one.

    It is stored with SQLAlchemy's connection, because SQLAlchemy needs four calls to get it.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.dialect = connection.dialect.name
        self.queue: _Queue | None = None
        self._connection: Any = connection.connection.driver_connection
        self._quoting: Any = None

    def execute(self, connection: sa.Connection, text: str, values: Values | None) -> None:
        """Execute a statement, or put it into the queue."""
        try:
            if self.queue is not None:
                self.queue.texts.append(self._with_literals(text, values))
            elif values is None:
                self._connection.execute(text)
            else:
                self._connection.execute(text, values)
        except Exception as error:
            _raise_sqlalchemy_error(connection, error)
            raise

    def later_rows(self, connection: sa.Connection, text: str, values: Values) -> LaterRows:
        """As `execute`, for a statement that has rows."""
        queue = self.queue
        try:
            if queue is None:
                return LaterRows(connection, self._connection.execute(text, values).fetchall())
            later = LaterRows(connection)
            queue.later.append((len(queue.texts), later))
            queue.texts.append(self._with_literals(text, values))
        except Exception as error:
            _raise_sqlalchemy_error(connection, error)
            raise
        return later

    def send_queued(self, connection: sa.Connection) -> None:
        """Send the queue in one message, and give the rows to their statements."""
        queue = self.queue
        if queue is None or not queue.texts:
            return
        texts, later = queue.texts, queue.later
        queue.texts, queue.later = [], []
        try:
            # Several statements cannot be prepared.
            cursor = self._connection.execute(";\n".join(texts), prepare=False)
            if later:
                # Counted from the end, because the first text may be several statements.
                results = _last_results(cursor, len(texts) - later[0][0])
                for index, rows in later:
                    rows.set(results[index - len(texts)])
        except Exception as error:
            _raise_sqlalchemy_error(connection, error)
            raise

    def _with_literals(self, text: str, values: Values | None) -> str:
        """The statement with its values as the driver quotes them."""
        if values is None:
            return text
        if self._quoting is None:
            import psycopg  # SQLite does not need this driver

            self._quoting = psycopg.ClientCursor(self._connection)
        quoted: str = self._quoting.mogrify(text, values)
        return quoted


def _driver_of(connection: sa.Connection) -> _Driver:
    driver: _Driver | None = connection.get_execution_options().get(_DRIVER)
    if driver is None:
        driver = _Driver(connection)
        connection.execution_options(**{_DRIVER: driver})
    return driver


def _last_results(cursor: Any, count: int) -> Sequence[Rows]:  # noqa: ANN401 - the driver's
    results = deque[Rows](maxlen=count)
    while True:
        # Its `description` would make an object for each column.
        results.append(cursor.fetchall() if cursor.pgresult.nfields else [])
        if not cursor.nextset():
            return results


def _raise_sqlalchemy_error(connection: sa.Connection, error: Exception) -> None:
    """Raise SQLAlchemy's error for one of the driver's, and invalidate a lost connection. Returns
    for any other error."""
    dialect = connection.dialect
    dbapi: Any = dialect.dbapi
    if not isinstance(error, dbapi.Error):
        return
    is_lost = dialect.is_disconnect(error, connection.connection.driver_connection, None)
    if is_lost:
        connection.invalidate(error)
        connection.execution_options(**{_DRIVER: None})
    raise exc.DBAPIError.instance(
        None,
        None,
        error,
        dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    ) from error
