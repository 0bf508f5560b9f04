"""Erlang's port mapper (epmd), private to the nodes that find each other through it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import LaunchError, OwnedProcess, wait_until

START_TIMEOUT_SECONDS = 10.0


class PortMapper:
    """An epmd on a free loopback port. Without one, a node starts a daemon and leaves it running.

    `environ` has the variables that make a node, or a tool that talks to nodes, use it.
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
        """Start it unless it runs, and return when it listens.

        Raises:
            LaunchError: if epmd is not installed, or does not start.
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
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"epmd does not listen on port {self.port}.",
        )

    def stop(self) -> None:
        """Stop it. Running nodes keep their names and ports. May be called again."""
        if self._process is not None:
            self._process.kill()
