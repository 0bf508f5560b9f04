"""Ways to have a service that this machine lacks: apt when we are root, else docker."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.services.processes import Guard, LaunchError, print_progress, run

POLICY = Path("/usr/sbin/policy-rc.d")


def can_apt() -> bool:
    """Whether packages can be installed here without asking anybody."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Install Debian packages without letting them start their services.

    Raises:
        LaunchError: with apt's own words.
    """
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        run(["apt-get", "update", "-qq"], environ=environ, seconds=300)
        run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages],
            environ=environ,
            seconds=900,
        )


def ensure_program(name: str, *, package: str) -> None:
    """See to it that there is this program, installing its Debian package if need be.

    Raises:
        LaunchError: when there is no way to have it; the text says what to do.
    """
    if shutil.which(name) is None and can_apt():
        print_progress(f"{name} is not installed here: installing {package} with apt …")
        apt_install(package)
    if shutil.which(name) is None:
        raise LaunchError(f"There is no {name} here: install the package {package}.")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian asks this file before a package starts its service; 101 means no."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def can_docker() -> bool:
    """Whether a docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], seconds=20)
    except LaunchError:
        return False
    return True


def docker_pull(image: str) -> None:
    """Fetch an image unless it is here already; says so while it takes its time."""
    try:
        run(["docker", "image", "inspect", image])
    except LaunchError:
        print_progress(f"Fetching {image} with docker, this takes a minute …")
        run(["docker", "pull", "--quiet", image], seconds=900)


class Container:
    """A docker container that is removed when it is closed or when this process ends.

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
        ports = [f"--publish=127.0.0.1:{ours}:{theirs}" for ours, theirs in publish.items()]
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
        """Shut it down in order."""
        run(["docker", "stop", "--time=30", self.name])

    def kill(self) -> None:
        """End it at once."""
        run(["docker", "kill", self.name])

    def execute(self, *command: str) -> str:
        """What a command inside it prints."""
        return run(["docker", "exec", self.name, *command])

    def log_tail(self) -> str:
        """The end of its output, for error messages."""
        return run(["docker", "logs", "--tail=40", self.name])

    def remove(self) -> None:
        """Remove it and what it stored. May be called again."""
        subprocess.run(  # noqa: S603
            ["docker", "rm", "--force", "--volumes", self.name],  # noqa: S607
            capture_output=True,
            check=False,
        )
        self._guard.release()
