"""PgBouncer, mostly in its transaction mode, before a PostgreSQL server on this machine."""

import os
import signal
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from recording_sandbox.services.install import ensure_program
from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import (
    OwnedDirectory,
    OwnedProcess,
    ordinary_user,
    wait_until,
)
from recording_sandbox.services.service import Closable

START_TIMEOUT_SECONDS: Final = 10.0
CONFIGURATION: Final = """\
[databases]
* = host={host} port={port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
default_pool_size = 3
server_round_robin = 1
"""


class PgBouncer(Closable):
    """A pooler that gives each transaction the next one of three sessions.

    So a session setting or a prepared statement of one client soon affects another client.
    """

    def __init__(self, server_url: str, *, pool_mode: str = "transaction") -> None:
        program = ensure_program("pgbouncer", package="pgbouncer")
        server = urlsplit(server_url)
        user = ordinary_user()
        self._owned = OwnedDirectory("pgbouncer-", owner=user)
        (self.port,) = free_ports(1)
        file = self._owned.path / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=server.hostname,
                port=server.port or 5432,
                user=server.username or "postgres",
                listen_port=self.port,
                pool_mode=pool_mode,
            )
        )
        self._process = OwnedProcess(
            [program, str(file)],
            environ=dict(os.environ),
            log=self._owned.path / "pgbouncer.log",
            user=user,
        )
        wait_until(
            lambda: listens(self.port),
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"PgBouncer did not start:\n{self._process.log_tail()}",
        )

    def url(self, database_url: str) -> str:
        """The URL of a database of the server, by way of this pooler."""
        user = urlsplit(database_url).username or "postgres"
        return urlunsplit(urlsplit(database_url)._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    def close(self) -> None:
        """Stop it permanently. Clients are disconnected."""
        self._process.end(signal.SIGTERM, seconds=START_TIMEOUT_SECONDS)
        self._owned.remove()
