"""Databases for tests that have the worker's tables already.

To create the tables takes three times as long as to copy a database that has them.
"""

import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from recording_sandbox.services.postgresql import PostgreSQLServer
from worker.store.database.engine import open_engine
from worker.store.database.migrate import migrate


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
    """Copies of one database of a server that lives as long as this, by one connection."""

    def __init__(self, server: PostgreSQLServer) -> None:
        self._template = server.new_database()
        create_tables(self._template)
        self._connection = psycopg.connect(server.url, autocommit=True)
        # FILE_COPY takes half the CPU. Before version 15 there is no choice.
        can_choose = self._connection.info.server_version >= 150_000
        copy = "CREATE DATABASE {} TEMPLATE {}"
        self._copy = f"{copy} STRATEGY FILE_COPY" if can_choose else copy

    def create(self) -> str:
        """Copy the template. Returns the URL of the copy."""
        name = f"test_{uuid4().hex[:12]}"
        self._execute(self._copy, name, _name(self._template))
        return urlunsplit(urlsplit(self._template)._replace(path=f"/{name}"))

    def drop(self, url: str) -> None:
        """Drop a copy, even if there are connections to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(url))

    def close(self) -> None:
        self._connection.close()

    def _execute(self, statement: str, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def create_tables(url: str) -> None:
    """Create the worker's tables, as the first worker does on an empty database."""
    engine = open_engine(url)
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
