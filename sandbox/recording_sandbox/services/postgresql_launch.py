"""Launches PostgreSQL: uses the server of TEST_DATABASE_URL, or starts a private one."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from recording_sandbox.services.install import apt_install
from recording_sandbox.services.postgresql import (
    DOCKER_IMAGE,
    DockerServer,
    ExternalServer,
    PostgreSQLServer,
)
from recording_sandbox.services.postgresql_local import LocalServer
from recording_sandbox.services.service import find_or_install

CLUSTER_DEFAULTS_FILE = Path("/etc/postgresql-common/createcluster.conf")


def launch_postgresql(
    *, durable: bool = False, environ: Mapping[str, str] = os.environ, private: bool = False
) -> PostgreSQLServer:
    """The server of TEST_DATABASE_URL, or a private one that is started now.

    With `durable` commits wait for the disk. That matters only if the machine itself may fail:
    committed data survives `kill` in any case. With `private` TEST_DATABASE_URL is ignored, so that
    the server can be stopped and killed. The role of TEST_DATABASE_URL must be allowed to create
    databases.

    Raises:
        LaunchError: if that is impossible. The text says what to do.
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
    """The directory of PostgreSQL's programs, installed if necessary; None with docker.

    Raises:
        LaunchError: if that is impossible. The text says what to do.
    """
    return find_or_install(
        "PostgreSQL",
        find_programs,
        _install,
        DOCKER_IMAGE,
        alternatives="set TEST_DATABASE_URL to a server on which databases may be created; install "
        "the package postgresql; run this as root on Debian or Ubuntu, which installs it; or "
        "start docker.",
    )


def _install() -> None:
    """Install the server without the cluster that Debian creates by default."""
    apt_install("postgresql-common")
    lines = CLUSTER_DEFAULTS_FILE.read_text().splitlines() if CLUSTER_DEFAULTS_FILE.exists() else []
    kept_lines = [line for line in lines if not line.strip().startswith("create_main_cluster")]
    CLUSTER_DEFAULTS_FILE.write_text("\n".join([*kept_lines, "create_main_cluster = false", ""]))
    apt_install("postgresql")


def find_programs() -> Path | None:
    """The directory of `initdb` and `postgres`, of the newest version; or None."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(4)
    )
    found = shutil.which("initdb")
    on_path = [Path(found).resolve().parent] if found else []
    for directory in [*reversed(versions), *on_path]:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None
