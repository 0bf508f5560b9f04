"""PostgreSQL as a service: the interface of all servers, and servers that are not ours."""

import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from recording_sandbox.services.install import Container
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.service import (
    ContainedService,
    ExternalService,
    Service,
)

DOCKER_IMAGE = "postgres:17"


class PostgreSQLServer(Service):
    """A running server. `url` is that of its maintenance database."""

    url: str

    def new_database(self, template: str | None = None) -> str:
        """Create a database, empty or a copy of the database `template` (a URL). Returns its URL.

        The template must have no connections. Takes some tens of milliseconds.
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
        """Drop a database, even if there are connections to it."""
        name = urlsplit(url).path.lstrip("/")
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


class ExternalServer(ExternalService, PostgreSQLServer):
    """A server that we did not start. Databases can be created on it."""

    unmanaged_message = (
        "The server of TEST_DATABASE_URL must not be stopped. Unset it, or launch a private "
        "server by launch_postgresql(private=True)."
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
    """Whether the server runs and has finished its recovery."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
