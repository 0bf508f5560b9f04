"""Databases for tests that have the worker's tables already.

To create the tables takes three times as long as to copy a database that has them.
"""

import shutil
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from recording_sandbox.services.postgresql import PostgreSQLServer
from worker.store.database.engine import open_engine
from worker.store.database.migrate import migrate

MAX_DELETED_ROWS: Final = 200
"""More would leave pages behind that make statements of the next test slower."""
CATALOGS: Final = (
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_default_acl",
    "pg_event_trigger",
    "pg_extension",
    "pg_index",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_rewrite",
    "pg_statistic",
    "pg_trigger",
    "pg_type",
    "alembic_version",
)
STATISTICS: Final = "(SELECT sum(reltuples) FROM pg_class WHERE relkind IN ('r', 'i'))"
SETTINGS: Final = """\
(SELECT (datacl, datconnlimit, (
    SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = pg_database.oid
)) FROM pg_database WHERE datname = current_database())"""
OTHER_CLIENTS: Final = """\
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"""


class PreparedSQLite:
    """Copies of one SQLite file."""

    def __init__(self, template: Path) -> None:
        self._template = template
        create_tables(f"sqlite:///{template}")

    def create(self, file: Path) -> str:
        """Copy the template to `file`. Returns its URL."""
        shutil.copyfile(self._template, file)
        return f"sqlite:///{file}"


class PreparedPostgreSQL:
    """Copies of one database of a server that lives as long as this, by one connection.

    To make a copy costs the server several times as much as to empty one. So a copy in which a test
    left nothing but a few rows is emptied for the next test. Any other is dropped.
    """

    def __init__(self, server: PostgreSQLServer) -> None:
        self._template = server.new_database()
        create_tables(self._template)
        with psycopg.connect(self._template) as connection:
            self._tables = _empty_tables(connection)
            self._schema = _schema(connection)
        self._free: list[str] = []
        self._connection = psycopg.connect(server.url, autocommit=True)
        # FILE_COPY takes half the CPU. Before version 15 there is no choice.
        can_choose = self._connection.info.server_version >= 150_000
        copy = "CREATE DATABASE {} TEMPLATE {}"
        self._copy = f"{copy} STRATEGY FILE_COPY" if can_choose else copy

    def take(self) -> str:
        """The URL of a copy of the template."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid4().hex[:12]}"
        self._execute(self._copy, name, _name(self._template))
        return urlunsplit(urlsplit(self._template)._replace(path=f"/{name}"))

    def give_back(self, url: str) -> None:
        """Keep a copy for the next test, or drop it, even if there are connections to it."""
        if self._is_emptied(url):
            self._free.append(url)
        else:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(url))

    def _is_emptied(self, url: str) -> bool:
        """Empty a copy. False if something else than a few rows is left of the test."""
        try:
            with psycopg.connect(url) as connection:
                if connection.execute(OTHER_CLIENTS).fetchone():
                    return False
                if _schema(connection) != self._schema:
                    return False
                return _empty(connection, self._tables) <= MAX_DELETED_ROWS
        except psycopg.Error:  # for example, the test removed a table
            return False

    def close(self) -> None:
        self._connection.close()

    def _execute(self, statement: str, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _empty_tables(connection: psycopg.Connection) -> list[sql.Identifier]:
    """The tables that have no rows in the template."""
    every = connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
    tables = [sql.Identifier(name) for (name,) in every]
    a_row = sql.SQL("SELECT 1 FROM {} LIMIT 1")
    return [table for table in tables if not connection.execute(a_row.format(table)).fetchone()]


def _schema(connection: psycopg.Connection) -> tuple[object, ...] | None:
    """What changes if tables, rights, settings or statistics of the database change."""
    changes = sql.SQL("(SELECT (count(*), max(xmin::text::bigint)) FROM {})")
    catalogs = [changes.format(sql.Identifier(name)) for name in CATALOGS]
    parts = sql.SQL(", ").join([*catalogs, sql.SQL(STATISTICS), sql.SQL(SETTINGS)])
    return connection.execute(sql.SQL("SELECT {}").format(parts)).fetchone()


def _empty(connection: psycopg.Connection, tables: list[sql.Identifier]) -> int:
    """Delete all rows, and restart sequences and counters. Returns the number of rows."""
    with connection.pipeline():
        deletion = sql.SQL("DELETE FROM {}")
        deletions = [connection.execute(deletion.format(table)) for table in tables]
        connection.execute(
            "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
        )
        connection.execute("SELECT pg_stat_reset()")
    return sum(cursor.rowcount for cursor in deletions)


def create_tables(url: str) -> None:
    """Create the worker's tables, as the first worker does on an empty database."""
    engine = open_engine(url)
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
