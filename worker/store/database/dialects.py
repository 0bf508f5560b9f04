"""Conditions that each engine has its own words for."""

from collections.abc import Iterable
from typing import Any, Final, Self, overload

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

from worker.store.database.schema import recordings


def among(column: sa.Column[Any], ids: str) -> sa.ColumnElement[bool]:
    """That the column has one of the texts in the parameter of that name, which is any iterable.

    SQLAlchemy's own `IN` writes out a parameter for each: another text for every number of ids,
    which costs as much to put together, and the database to read, as the rows it finds.
    """
    return _Among(column, sa.bindparam(ids, type_=_Texts()))


def open_or_closed(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition on an id of recordings, for all of them.

    SQLite has an index of those that are open and one of the others (`tables.index_by_id`), and
    uses either only for a condition that says which.
    """
    return _OpenOrClosed(condition)


def unindexed(column: sa.Column[str]) -> sa.ColumnElement[str]:
    """A text column for a condition beside one on an id: neither engine knows that the id leaves
    few rows, and might go by an index of this column instead."""
    return sa.func.coalesce(column, "")


class _Condition(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:
        """As it is: for SQLite it would be compared with 1, and no index serves that."""
        return self


class _Among(_Condition):
    inherit_cache = True


class _OpenOrClosed(_Condition):
    inherit_cache = True


@compiles(_Among, "sqlite")
def _among_in_sqlite(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **how) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 - parts of a statement, compiled


@compiles(_Among, "postgresql")
def _among_in_postgresql(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **how) for part in element.clauses)
    return f"{column} = ANY ({ids})"


@compiles(_OpenOrClosed)
def _all_at_once(element: _OpenOrClosed, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    (condition,) = (compiler.process(part, **how) for part in element.clauses)
    return condition


@compiles(_OpenOrClosed, "sqlite")
def _each_by_its_index(element: _OpenOrClosed, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    one, other = (compiler.process(part, **how) for part in (*element.clauses, *element.clauses))
    is_open = compiler.process(recordings.c.open, **how)
    return f"({is_open} = 1 AND ({one}) OR {is_open} = 0 AND ({other}))"


class _Texts(sa.TypeDecorator[Any]):
    """An array where there are any, else JSON."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:  # noqa: ANN401
        array = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.ARRAY(sa.Text) if array else sa.Text())

    def process_bind_param(self, value: Iterable[str] | None, dialect: sa.Dialect) -> Any:  # noqa: ANN401
        ids = list(value or ())
        return ids if dialect.name == "postgresql" else msgspec.json.encode(ids).decode()


MEETING_LENGTH: Final = 128


@overload
def strip_nul(text: str) -> str: ...
@overload
def strip_nul(text: None) -> None: ...
@overload
def strip_nul(text: str | None) -> str | None: ...
def strip_nul(text: str | None) -> str | None:
    """The text without NUL characters."""
    return text if text is None else text.replace("\x00", "")


def meeting_key(meeting_id: str | None) -> str | None:
    """What a meeting is found by, however its id was spelt."""
    return None if meeting_id is None else strip_nul(meeting_id).lower()[:MEETING_LENGTH]
