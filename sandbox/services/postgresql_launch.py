"""A PostgreSQL to use: the one named by TEST_DATABASE_URL, else a private server here."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.services.install import apt_install
from sandbox.services.postgresql import (
    DOCKER_IMAGE,
    DockerServer,
    ExternalServer,
    PostgreSQLServer,
)
from sandbox.services.postgresql_local import LocalServer
from sandbox.services.service import find_or_install

CLUSTER_DEFAULTS = Path("/etc/postgresql-common/createcluster.conf")


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
