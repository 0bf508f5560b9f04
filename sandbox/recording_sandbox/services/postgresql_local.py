"""A private PostgreSQL server on this machine.

It listens on a free loopback port and needs no password. If its owner ends, even by SIGKILL, no
processes or files remain.
"""

import atexit
import os
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer, answers_queries
from recording_sandbox.services.processes import (
    OwnedDirectory,
    OwnedProcess,
    ordinary_user,
    run,
    wait_until,
)
from recording_sandbox.services.service import BOOT_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS

START_TIMEOUT_SECONDS = 10.0


class LocalServer(PostgreSQLServer):
    """A server of the installed PostgreSQL. As root we run it as another user."""

    def __init__(self, programs: Path, *, durable: bool) -> None:
        self._programs = programs
        self._durable = durable
        self._user = ordinary_user()
        self._owned = OwnedDirectory("postgresql-", owner=self._user)
        self.directory = self._owned.path
        (self._port,) = free_ports(1)
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._environ = _environ()
        self._server: OwnedProcess | None = None
        try:
            self._create_cluster()
            self.start()
        except BaseException:
            self.close()
            raise

    def _create_cluster(self) -> None:
        source = _new_cluster(self._programs, self._user).path / "data"
        run(["cp", "-a", str(source), str(self.directory / "data")], user=self._user)

    def start(self) -> None:
        """Start it unless it runs, and return when it answers queries: a fraction of a second."""
        if self._server is not None and self._server.running:
            return
        # After a kill the first attempts may fail, because the old server's children still end.
        wait_until(
            self._try_start,
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"PostgreSQL ends while starting:\n{self._log_tail()}",
        )

    def _try_start(self) -> bool:
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
            orphan_signal=signal.SIGQUIT,
        )
        wait_until(
            lambda: not server.running or answers_queries(self.url),
            seconds=BOOT_TIMEOUT_SECONDS,
            otherwise=lambda: f"PostgreSQL did not start:\n{self._log_tail()}",
        )
        if server.running:
            return True
        server.kill()
        return False

    def _log_tail(self) -> str:
        return self._server.log_tail() if self._server is not None else ""

    def stop(self) -> None:
        """Shut it down cleanly. Clients are disconnected."""
        if self._server is not None:
            self._server.end(signal.SIGINT, seconds=STOP_TIMEOUT_SECONDS)

    def kill(self) -> None:
        """Kill it, as a crash of the machine would."""
        if self._server is not None:
            sessions = _children(self._server.pid) if self._server.running else []
            self._server.kill()
            # Each is a process group of its own, and may answer until it notices the kill.
            for session in sessions:
                with suppress(ProcessLookupError):
                    os.kill(session, signal.SIGKILL)

    def close(self) -> None:
        """Stop it permanently and delete its data. May be called again."""
        if self._server is not None:
            # Not SIGKILL, which would leave its shared memory behind.
            self._server.end(signal.SIGQUIT, seconds=STOP_TIMEOUT_SECONDS)
        self._owned.remove()


def _children(pid: int) -> list[int]:
    """The processes that this one started. None where there is no /proc."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@cache
def _new_cluster(programs: Path, user: str | None) -> OwnedDirectory:
    """A directory with the files of a new server in `data`.

    A copy of them takes a tenth of the work of `initdb`. A process may start many servers.
    """
    owned = OwnedDirectory("postgresql-new-", owner=user)
    atexit.register(owned.remove)
    settings = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    command = [str(programs / "initdb"), "--no-sync", *settings, str(owned.path / "data")]
    run(command, environ=_environ(), user=user)
    return owned


def _environ() -> dict[str, str]:
    """The variables of this process without those of PostgreSQL's clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
