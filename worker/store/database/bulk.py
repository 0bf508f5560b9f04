"""Stores many rows with one call, with the least CPU on each engine (docs/adr/0021).

SQLite executes a statement for each row, PostgreSQL one statement for all rows, which it gets as
one JSON text. SQLAlchemy compiles both.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from worker.store.database.direct import DirectStatement, LaterRows
from worker.store.database.submissions import LateResult

ROW_KEY: Final = "row_key"
"""The name under which the rows of a bulk update have the key of the row to change."""

_ROWS: Final = "given_rows"

Row = Mapping[str, Any]
Statement = sa.Insert | sa.Update


class BulkStatement:
    """A statement about many rows. Called with no rows, it does nothing."""

    def __init__(
        self, names: Collection[str], *, for_one_row: Statement, for_json: Statement
    ) -> None:
        self._for_one_row = DirectStatement(for_one_row, names)
        self._for_json = DirectStatement(for_json)

    def __call__(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._for_one_row.execute_for_each(connection, rows)
        else:
            self._for_json.execute(connection, {_ROWS: msgspec.json.encode(rows).decode()})


class NumberedInsert(BulkStatement):
    """Inserts rows into a table that numbers them. `positions` also returns their numbers.

    On PostgreSQL `positions` costs a round trip, unless `reserve` has brought enough numbers
    together with the rows of other statements.
    """

    def __init__(
        self,
        key: sa.Column[Any],
        names: Collection[str],
        *,
        for_one_row: sa.Insert,
        for_json: sa.Insert,
        for_numbered_json: sa.Insert,
    ) -> None:
        super().__init__(names, for_one_row=for_one_row, for_json=for_json)
        self._key = key.name
        self._for_numbers = DirectStatement(for_json.returning(key))
        self._for_numbered = DirectStatement(for_numbered_json)
        self._numbers = DirectStatement(_next_numbers(key))

    def reserve(self, connection: sa.Connection, count: int) -> LateResult[Sequence[int]]:
        """Numbers for rows that this transaction inserts next.

        None on SQLite, and if the column's numbers come from another program's sequence.
        """
        if connection.dialect.name == "sqlite" or not count:
            return LateResult(LaterRows(connection, []), lambda _: ())
        rows = self._numbers.later_rows(connection, {"count": count})
        return LateResult(rows, lambda rows: [number for (number,) in rows if number])

    def positions(
        self, connection: sa.Connection, rows: Sequence[Row], reserved: Sequence[int] = ()
    ) -> Sequence[int]:
        """Insert at least one row. Returns the numbers of all, in the order of the rows.

        They are reserved ones, if enough are reserved.
        """
        if connection.dialect.name == "sqlite":
            self._for_one_row.execute_for_each(connection, rows)
            last = last_row_id(connection)
            return range(last - len(rows) + 1, last + 1)
        if len(rows) <= len(reserved):
            rows = [{self._key: number, **row} for number, row in zip(reserved, rows, strict=False)]
            self._for_numbered.execute(connection, {_ROWS: msgspec.json.encode(rows).decode()})
            return reserved[: len(rows)]
        values = {_ROWS: msgspec.json.encode(rows).decode()}
        return sorted(position for (position,) in self._for_numbers.rows(connection, values))


def last_row_id(connection: sa.Connection) -> int:
    """The number of the row that SQLite inserted last.

    Rows of one statement have consecutive numbers, because no other connection writes meanwhile.
    """
    # Without SQLAlchemy, because each transaction with events asks this.
    driver: Any = connection.connection.driver_connection
    row: tuple[int] = driver.execute("SELECT last_insert_rowid()").fetchone()
    return row[0]


def numbered_insert(key: sa.Column[Any], *names: str) -> NumberedInsert:
    """As `bulk_insert`, for a table that numbers its rows in the column `key`."""
    assert isinstance(key.table, sa.Table)  # noqa: S101 - columns of aliases are not used here
    for_one_row, for_json = _inserts(key.table, *names)
    _, for_numbered_json = _inserts(key.table, key.name, *names)
    return NumberedInsert(
        key,
        names,
        for_one_row=for_one_row,
        for_json=for_json,
        for_numbered_json=for_numbered_json,
    )


def _next_numbers(key: sa.Column[Any]) -> sa.Select[tuple[int]]:
    """As many of the next numbers as the parameter `count` says."""
    table, column = sa.literal(key.table.name), sa.literal(key.name)
    sequence = sa.func.pg_get_serial_sequence(table, column)  # it may have any name
    numbers = sa.func.generate_series(1, sa.bindparam("count", type_=sa.Integer))
    return sa.select(sa.func.nextval(sequence)).select_from(numbers.alias("number"))


def bulk_insert(table: sa.Table, *names: str) -> BulkStatement:
    """Inserts rows in the given order, with these columns, or with all columns of the table.

    Every row is a mapping with a value for each of the columns.
    """
    for_one_row, for_json = _inserts(table, *names)
    return BulkStatement(names, for_one_row=for_one_row, for_json=for_json)


def _inserts(table: sa.Table, *names: str) -> tuple[sa.Insert, sa.Insert]:
    columns = {name: table.c[name].type for name in names or table.c.keys()}
    source, parameters = _rows_of_json(columns)
    for_json = sa.insert(table).from_select(
        list(columns), sa.select(*parameters.values()).select_from(source)
    )
    return sa.insert(table), for_json


def bulk_update(
    key: sa.Column[Any], *names: str, **constants: sa.ColumnElement[Any]
) -> BulkStatement:
    """Sets the columns `names` from each row, and `constants`, where `key` equals its `ROW_KEY`."""
    table = key.table
    columns = {ROW_KEY: key.type, **{name: table.c[name].type for name in names}}
    _, parameters = _rows_of_json(columns)
    assert isinstance(table, sa.Table)  # noqa: S101 - columns of aliases are not used here
    change = sa.update(table).values(**constants)
    return BulkStatement(
        (),
        for_one_row=change.where(key == sa.bindparam(ROW_KEY)).values(
            {name: sa.bindparam(name) for name in names}
        ),
        for_json=change.where(key == parameters[ROW_KEY]).values(
            {name: parameters[name] for name in names}
        ),
    )


def _rows_of_json(
    columns: Mapping[str, sa.types.TypeEngine[Any]],
) -> tuple[sa.FromClause, dict[str, sa.ColumnElement[Any]]]:
    """The rows of the JSON parameter on PostgreSQL, and their columns by name. JSON holds bytes in
    Base64."""
    binary = {name for name, type_ in columns.items() if isinstance(type_, sa.LargeBinary)}
    typed = [sa.column(name, sa.Text if name in binary else columns[name]) for name in columns]
    text = sa.cast(sa.bindparam(_ROWS, type_=sa.Text), postgresql.JSON)
    rows = sa.func.json_to_recordset(text).table_valued(*typed, name="given")
    source = rows.render_derived(with_types=True)
    parameters: dict[str, sa.ColumnElement[Any]] = {
        name: sa.func.decode(source.c[name], "base64") if name in binary else source.c[name]
        for name in columns
    }
    return source, parameters
