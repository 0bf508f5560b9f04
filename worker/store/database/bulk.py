"""Many rows in few statements, on both engines.

Executed row by row, SQLite's driver lets go of the interpreter at each row, and gets it back from a
busy event loop only milliseconds later; SQLAlchemy looks at every value, which takes longer than to
store it. Here SQLite is given powers of two of rows, in statements that stay prepared, and
PostgreSQL all of them in one JSON text.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

MAX_PARAMETERS: Final = 4_096
_ROWS: Final = "given_rows"

Row = Mapping[str, Any]
Given = Mapping[str, sa.ColumnElement[Any]]
Statement = sa.Insert | sa.Update
Build = Callable[[sa.FromClause, Given], Statement]


class BulkStatement:
    """A statement about many rows, each a mapping with a value for every column.

    `build` makes it of what the rows are selected from, and of their columns there; it may bind no
    parameters of its own. Called with no rows, it does nothing.
    """

    def __init__(self, columns: Sequence[sa.Column[Any]], build: Build) -> None:
        self._columns = columns
        self._build = build
        self._values = itemgetter(*(column.name for column in columns))
        self._largest = 2 ** ((MAX_PARAMETERS // len(columns)).bit_length() - 1)
        self._prepared: dict[int, str] = {}
        self._of_json: Statement | None = None

    def __call__(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        if connection.dialect.name == "sqlite":
            self._by_values(connection, rows)
        elif rows:
            self._by_json(connection, rows)

    def _by_values(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        done, size = 0, self._largest
        while done < len(rows):
            while size > len(rows) - done:
                size //= 2
            taken = rows[done : done + size]
            parameters = tuple(chain.from_iterable(map(self._values, taken)))
            connection.exec_driver_sql(self._prepare(connection, size), parameters)
            done += size

    def _prepare(self, connection: sa.Connection, size: int) -> str:
        if size not in self._prepared:
            names = [one.name for one in self._columns]
            columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
            row: list[sa.BindParameter[Any]] = [sa.bindparam(name) for name in names]
            source = sa.values(*columns, name="given").data([tuple(row)]).cte("given")
            # Every failure undoes the whole transaction, so SQLite need not keep what pages were
            # before this statement.
            statement = self._build(source, dict(source.c)).prefix_with("OR FAIL")
            compiled = statement.compile(dialect=connection.dialect)
            one = f"({', '.join('?' for _ in names)})"
            before, values, after = str(compiled).partition(f"VALUES {one}")
            self._prepared[size] = before + values + f", {one}" * (size - 1) + after
        return self._prepared[size]

    def _by_json(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        if self._of_json is None:
            self._of_json = self._build(*_from_json(self._columns))
        connection.execute(self._of_json, {_ROWS: msgspec.json.encode(rows).decode()})


def bulk_insert(table: sa.Table, *names: str) -> BulkStatement:
    """Inserts rows in the given order, with these columns; all of the table's by default."""
    columns = [table.c[name] for name in names] if names else list(table.c)

    def build(source: sa.FromClause, given: Given) -> Statement:
        wanted = sa.select(*given.values()).select_from(source)
        return sa.insert(table).from_select(list(given), wanted)

    return BulkStatement(columns, build)


def _from_json(columns: Sequence[sa.Column[Any]]) -> tuple[sa.FromClause, Given]:
    types = [sa.column(one.name, sa.Text if _is_binary(one) else one.type) for one in columns]
    text = sa.cast(sa.bindparam(_ROWS, type_=sa.Text), postgresql.JSON)
    rows = sa.func.json_to_recordset(text).table_valued(*types, name="given")
    source = rows.render_derived(with_types=True)

    def value(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        found = source.c[column.name]
        return sa.func.decode(found, "base64") if _is_binary(column) else found

    return source, {column.name: value(column) for column in columns}


def _is_binary(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.LargeBinary)
