"""Erlang's port mapper (epmd), private to the nodes that are to find each other through it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.services.ports import free_ports, listens
from sandbox.services.processes import LaunchError, OwnedProcess, wait_until

START_SECONDS = 10.0


class PortMapper:
    """An epmd on a free loopback port. Nodes without one would leave a daemon behind.

    `environ` is what a node, or a tool that talks to nodes, needs in its environment to use it.
    """

    def __init__(self, directory: Path) -> None:
        (self.port,) = free_ports(1)
        self.environ: Mapping[str, str] = {
            "ERL_EPMD_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._log = directory / "epmd.log"
        self._process: OwnedProcess | None = None

    def start(self) -> None:
        """Return when it listens; nothing happens when it runs already.

        Raises:
            LaunchError: when there is no epmd, or it does not come up.
        """
        if self._process is not None and self._process.running:
            return
        epmd = shutil.which("epmd")
        if epmd is None:
            raise LaunchError("RabbitMQ needs Erlang's epmd on PATH.")
        self._process = OwnedProcess(
            [epmd, "-port", str(self.port), "-address", "127.0.0.1"], environ={}, log=self._log
        )
        wait_until(
            lambda: listens(self.port),
            seconds=START_SECONDS,
            otherwise=lambda: f"epmd does not listen on port {self.port}.",
        )

    def stop(self) -> None:
        """End it; nodes that run forget nothing. May be called again."""
        if self._process is not None:
            self._process.kill()
