"""A private PostgreSQL server on this machine.

It listens on a free loopback port, trusts whoever connects, and leaves neither processes nor files
behind, however its owner ends.
"""

import os
import pwd
import signal
from pathlib import Path

from sandbox.services.ports import free_ports
from sandbox.services.postgresql import PostgreSQLServer, answers_queries
from sandbox.services.processes import LaunchError, OwnedDirectory, OwnedProcess, run, wait_until
from sandbox.services.service import BOOT_SECONDS, STOP_SECONDS

START_SECONDS = 10.0


class LocalServer(PostgreSQLServer):
    """A server of this machine's PostgreSQL, run by an ordinary user even when we are root."""

    def __init__(self, programs: Path, *, durable: bool) -> None:
        self._programs = programs
        self._durable = durable
        self._user = _ordinary_user()
        self._owned = OwnedDirectory("postgresql-", owner=self._user)
        self.directory = self._owned.path
        (self._port,) = free_ports(1)
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self._server: OwnedProcess | None = None
        try:
            self._create_cluster()
            self.start()
        except BaseException:
            self.close()
            raise

    def _create_cluster(self) -> None:
        initdb = str(self._programs / "initdb")
        data = str(self.directory / "data")
        settings = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        run([initdb, "--no-sync", *settings, data], environ=self._environ, user=self._user)

    def start(self) -> None:
        """Return when it answers queries; a fraction of a second."""
        if self._server is not None and self._server.running:
            return
        # After a kill the first attempts may fail: the old server's children end in their own time.
        wait_until(
            self._boots,
            seconds=START_SECONDS,
            otherwise=lambda: f"PostgreSQL ends while starting:\n{self._last_words()}",
        )

    def _boots(self) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._server = server = OwnedProcess(
            [str(self._programs / "postgres"), "-D", str(self.directory / "data"), *options],
            environ=self._environ,
            log=self.directory / "server.log",
            user=self._user,
            if_left=signal.SIGQUIT,
        )
        wait_until(
            lambda: not server.running or answers_queries(self.url),
            seconds=BOOT_SECONDS,
            otherwise=lambda: f"PostgreSQL did not start:\n{self._last_words()}",
        )
        if server.running:
            return True
        server.kill()
        return False

    def _last_words(self) -> str:
        return self._server.log_tail() if self._server is not None else ""

    def stop(self) -> None:
        """Shut it down in order, cutting whoever is connected."""
        if self._server is not None:
            self._server.end(signal.SIGINT, seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End it at once, as a crash would; its children notice and end too."""
        if self._server is not None:
            self._server.kill()

    def close(self) -> None:
        """End it for good and remove what it stored. May be called again."""
        if self._server is not None:
            # At once but not SIGKILL, which would leave its shared memory behind.
            self._server.end(signal.SIGQUIT, seconds=STOP_SECONDS)
        self._owned.remove()


def _ordinary_user() -> str | None:
    """Whom to run the server as: it refuses to run as root. None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise LaunchError("PostgreSQL does not run as root, and there is no user postgres or nobody.")
