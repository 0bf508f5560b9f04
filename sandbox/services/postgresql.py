"""A PostgreSQL to play with: the one named by TEST_DATABASE_URL, else a private server here.

A private server listens on a free loopback port, trusts whoever connects, and leaves neither
processes nor files behind, however its owner ends.
"""

import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from sandbox.services.install import Container
from sandbox.services.ports import free_ports
from sandbox.services.service import (
    ContainedService,
    ExternalService,
    Service,
)

DOCKER_IMAGE = "postgres:17"


class PostgreSQLServer(Service):
    """A running server; `url` names its maintenance database."""

    url: str

    def new_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one whose URL is `template`.

        Nobody may be connected to the template. Takes some tens of milliseconds.
        """
        name = f"test_{uuid.uuid4().hex[:12]}"
        source = "template1" if template is None else urlsplit(template).path.lstrip("/")
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_database(self, url: str) -> None:
        """Remove a database, also while somebody is connected to it."""
        name = urlsplit(url).path.lstrip("/")
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


class ExternalServer(ExternalService, PostgreSQLServer):
    """Somebody else's server: databases can be made on it."""

    not_ours = (
        "The server that TEST_DATABASE_URL names is not ours to manage: unset it, or ask for "
        "a private one with launch_postgresql(private=True)."
    )

    def __init__(self, url: str) -> None:
        self.url = url


class DockerServer(ContainedService, PostgreSQLServer):
    """A server in a container."""

    def __init__(self, *, durable: bool) -> None:
        (port,) = free_ports(1)
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        container = Container(
            DOCKER_IMAGE,
            publish={port: 5432},
            environ={"POSTGRES_HOST_AUTH_METHOD": "trust"},
            command=["-c", f"fsync={'on' if durable else 'off'}", "-c", "max_connections=200"],
        )
        super().__init__("PostgreSQL", container, lambda: answers_queries(self.url))


def answers_queries(url: str) -> bool:
    """Whether the server is up and through with its recovery."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
