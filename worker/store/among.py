"""Conditions on many ids in one parameter.

SQLAlchemy's own `IN` writes out a parameter for each: another text for every number of ids, which
costs as much to put together, and the database to read, as the rows it finds.
"""

from collections.abc import Iterable
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType


def among(column: sa.Column[Any], ids: str) -> sa.ColumnElement[bool]:
    """That the column has one of the texts in the parameter of that name, which is any iterable."""
    return _Among(column, sa.bindparam(ids, type_=_Texts()))


class _Among(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:
        """As it is: for SQLite it would be compared with 1, and no index serves that."""
        return self


@compiles(_Among, "sqlite")
def _among_in_sqlite(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **how) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 - parts of a statement, compiled


@compiles(_Among, "postgresql")
def _among_in_postgresql(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    column, ids = (compiler.process(part, **how) for part in element.clauses)
    return f"{column} = ANY ({ids})"


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
