"""The statements that SQLAlchemy has compiled, shared by all engines of a process.

Each store has a separate engine, and SQLAlchemy compiles each statement once for each engine. Tests
open thousands of stores.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_COMPILED: Final[dict[Any, Any]] = {}


def share_statements() -> None:
    """Let all engines that are created from now on share compiled statements."""
    registry.register("sqlite", __name__, SharingSQLite.__name__)
    registry.register("postgresql.psycopg", __name__, SharingPostgreSQL.__name__)


class _Sharing:
    """A dialect equals the other dialects of its class, because it is part of the cache's keys."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: sa.Engine) -> None:
        engine.update_execution_options(compiled_cache=_COMPILED)


class SharingSQLite(_Sharing, SQLiteDialect_pysqlite):
    """SQLite's dialect."""

    supports_statement_cache = True


class SharingPostgreSQL(_Sharing, PGDialect_psycopg):
    """PostgreSQL's dialect."""

    supports_statement_cache = True
