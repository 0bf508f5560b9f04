"""A PostgreSQL to play with: the one named by TEST_DATABASE_URL, else a private server here.

A private server listens on a free loopback port, trusts whoever connects, and leaves neither
processes nor files behind, however its owner ends.
"""

import os
import pwd
import shutil
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from sandbox.services.install import Container, apt_install
from sandbox.services.processes import (
    LaunchError,
    OwnedDirectory,
    OwnedProcess,
    free_ports,
    run,
    wait_until,
)
from sandbox.services.service import (
    BOOT_SECONDS,
    STOP_SECONDS,
    ContainedService,
    ExternalService,
    Service,
    find_or_install,
)

START_SECONDS = 10.0
DOCKER_IMAGE = "postgres:17"
CLUSTER_DEFAULTS = Path("/etc/postgresql-common/createcluster.conf")


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


def launch_postgresql(
    *, durable: bool = False, environ: Mapping[str, str] = os.environ, private: bool = False
) -> PostgreSQLServer:
    """The server that TEST_DATABASE_URL names, else a private one that is started now.

    `durable` makes commits wait for the disk, which only matters when the machine itself may
    fail: what is committed survives `kill` either way. `private` asks for one that can be stopped
    and killed, also when TEST_DATABASE_URL is set; its role must be allowed to create databases.

    Raises:
        LaunchError: when there is no way to have one; the text says what to do.
    """
    if environ.get("TEST_DATABASE_URL") and not private:
        return ExternalServer(environ["TEST_DATABASE_URL"])
    programs = ensure_postgresql()
    return (
        DockerServer(durable=durable)
        if programs is None
        else LocalServer(programs, durable=durable)
    )


def ensure_postgresql() -> Path | None:
    """Where PostgreSQL's programs lie, installed if need be; None when only docker has it.

    Raises:
        LaunchError: when there is no way to have one; the text says what to do.
    """
    return find_or_install(
        "PostgreSQL",
        find_programs,
        _install,
        DOCKER_IMAGE,
        otherwise="set TEST_DATABASE_URL to a server on which databases may be created; install "
        "the package postgresql; run this as root on Debian or Ubuntu, which installs it; or "
        "start docker.",
    )


def _install() -> None:
    """Install the server without the cluster that Debian would create beside it."""
    apt_install("postgresql-common")
    lines = CLUSTER_DEFAULTS.read_text().splitlines() if CLUSTER_DEFAULTS.exists() else []
    kept = [line for line in lines if not line.strip().startswith("create_main_cluster")]
    CLUSTER_DEFAULTS.write_text("\n".join([*kept, "create_main_cluster = false", ""]))
    apt_install("postgresql")


def find_programs() -> Path | None:
    """Where `initdb` and `postgres` lie on this machine, the newest version first, or None."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parent.name.zfill(4)
    )
    found = shutil.which("initdb")
    on_path = [Path(found).resolve().parent] if found else []
    for place in [*reversed(versions), *on_path]:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    return None


class ExternalServer(ExternalService, PostgreSQLServer):
    """Somebody else's server: databases can be made on it."""

    not_ours = (
        "The server that TEST_DATABASE_URL names is not ours to manage: unset it, or ask for "
        "a private one with launch_postgresql(private=True)."
    )

    def __init__(self, url: str) -> None:
        self.url = url


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


def _ordinary_user() -> str | None:
    """Whom to run the server as: it refuses to run as root. None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise LaunchError("PostgreSQL does not run as root, and there is no user postgres or nobody.")
