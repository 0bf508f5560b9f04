"""Installs missing programs: with apt as root, else as a docker container."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from recording_sandbox.services.processes import Guard, LaunchError, print_progress, run

POLICY_FILE = Path("/usr/sbin/policy-rc.d")
SERVICE_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Debian keeps programs of services here, which are not on the PATH of an ordinary user."""


def can_apt() -> bool:
    """Whether this process may install Debian packages."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Install Debian packages, without starting their services.

    Raises:
        LaunchError: with the output of apt.
    """
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        run(["apt-get", "update", "-qq"], environ=environ, seconds=300)
        run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages],
            environ=environ,
            seconds=900,
        )


def ensure_program(name: str, *, package: str) -> str:
    """Where a program is. Its Debian package is installed if necessary.

    Raises:
        LaunchError: if that is impossible. The text says what to do.
    """
    if _find(name) is None and can_apt():
        print_progress(f"{name} is not installed; installing {package} with apt …")
        apt_install(package)
    found = _find(name)
    if found is None:
        raise LaunchError(f"{name} is not installed. Install the package {package}.")
    return found


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SERVICE_PROGRAMS)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian runs this file before a package starts its service. Exit code 101 forbids it."""
    if POLICY_FILE.exists():
        yield
        return
    POLICY_FILE.write_text("#!/bin/sh\nexit 101\n")
    POLICY_FILE.chmod(0o755)
    try:
        yield
    finally:
        POLICY_FILE.unlink(missing_ok=True)


def can_docker() -> bool:
    """Whether a docker daemon is available."""
    if shutil.which("docker") is None:
        return False
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], seconds=20)
    except LaunchError:
        return False
    return True


def docker_pull(image: str) -> None:
    """Pull an image, unless it is on this machine already."""
    try:
        run(["docker", "image", "inspect", image])
    except LaunchError:
        print_progress(f"pulling {image} with docker, which takes a minute …")
        run(["docker", "pull", "--quiet", image], seconds=900)


class Container:
    """A docker container. It is removed by `remove`, or when this process ends.

    `publish` maps loopback ports of this machine to ports of the container.
    """

    def __init__(
        self,
        image: str,
        *,
        publish: Mapping[int, int],
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self.name = f"recording-worker-{uuid.uuid4().hex[:12]}"
        self._guard = Guard('docker rm --force --volumes "$1"', self.name)
        ports = [f"--publish=127.0.0.1:{local}:{inside}" for local, inside in publish.items()]
        variables = [f"--env={name}={value}" for name, value in (environ or {}).items()]
        options = ["--detach", f"--name={self.name}", *ports, *variables]
        try:
            run(["docker", "run", *options, image, *command])
        except LaunchError:
            self.remove()
            raise

    def start(self) -> None:
        """Start it again after `stop` or `kill`."""
        run(["docker", "start", self.name])

    def stop(self) -> None:
        """Shut it down cleanly."""
        run(["docker", "stop", "--time=30", self.name])

    def kill(self) -> None:
        """Kill it."""
        run(["docker", "kill", self.name])

    def execute(self, *command: str) -> str:
        """Run a command inside it. Returns its stdout."""
        return run(["docker", "exec", self.name, *command])

    def log_tail(self) -> str:
        """The last lines of its output, for error messages."""
        return run(["docker", "logs", "--tail=40", self.name])

    def remove(self) -> None:
        """Remove it with its data. May be called again."""
        subprocess.run(  # noqa: S603
            ["docker", "rm", "--force", "--volumes", self.name],  # noqa: S607
            capture_output=True,
            check=False,
        )
        self._guard.release()
