"""The differences between the two engines in conditions and in text."""

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

MAX_MEETING_KEY_LENGTH: Final = 128

# Conditions


def among(column: sa.Column[Any], ids: str) -> sa.ColumnElement[bool]:
    """The column has one of the texts in the parameter named `ids`, which is any iterable.

    SQLAlchemy's own `IN` writes a parameter for each text. Each number of texts would need another
    statement, which costs as much to build and parse as the rows that it finds.
    """
    return _Among(column, sa.bindparam(ids, type_=_Texts()))


def texts(connection: sa.Connection, ids: Iterable[str]) -> list[str] | str:
    """The texts as the driver takes them in the parameter of `among`."""
    found = list(ids)
    return found if connection.dialect.name == "postgresql" else msgspec.json.encode(found).decode()


def open_or_closed(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition on an id of recordings, for both open and closed recordings.

    SQLite has one index of open recordings and one of closed ones (`schema.index_by_id`). It uses
    an index only for a condition that names one of the two.
    """
    return _OpenOrClosed(condition)


def unindexed(column: sa.Column[str]) -> sa.ColumnElement[str]:
    """A text column whose index must not be used.

    Use it together with a condition on an id. Neither engine knows that an id leaves few rows, and
    each might choose the index of this column instead.
    """
    return sa.func.coalesce(column, "")


class _Condition(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:
        """The column itself. SQLAlchemy would compare it with 1 on SQLite, and then no index is
        used."""
        return self


class _Among(_Condition):
    inherit_cache = True


class _OpenOrClosed(_Condition):
    inherit_cache = True


@compiles(_Among, "sqlite")
def _among_on_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 - compiled parts


@compiles(_Among, "postgresql")
def _among_on_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({ids})"


@compiles(_OpenOrClosed)
def _unchanged(element: _OpenOrClosed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    (condition,) = (compiler.process(part, **options) for part in element.clauses)
    return condition


@compiles(_OpenOrClosed, "sqlite")
def _once_for_each_index(element: _OpenOrClosed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    # Compiled twice, because each occurrence needs separate parameters.
    parts = (*element.clauses, *element.clauses)
    for_open, for_closed = (compiler.process(part, **options) for part in parts)
    is_open = compiler.process(recordings.c.open, **options)
    return f"({is_open} = 1 AND ({for_open}) OR {is_open} = 0 AND ({for_closed}))"


class _Texts(sa.TypeDecorator[Any]):
    """Several texts in one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:  # noqa: ANN401
        is_array = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.ARRAY(sa.Text) if is_array else sa.Text())

    def process_bind_param(self, value: Iterable[str] | None, dialect: sa.Dialect) -> Any:  # noqa: ANN401
        texts = list(value or ())
        return texts if dialect.name == "postgresql" else msgspec.json.encode(texts).decode()


# Text. PostgreSQL has no NUL character, and its columns have a length.
# Publishers and the API may send both. A row that cannot be written would be tried again forever,
# so the columns get less. What is kept only as JSON is kept whole.


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
    """The key of a meeting, independent of the case of its id."""
    return None if meeting_id is None else strip_nul(meeting_id).lower()[:MAX_MEETING_KEY_LENGTH]
