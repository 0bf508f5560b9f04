"""Tinyproxy: an HTTP proxy on this machine that opens CONNECT tunnels and asks for a password."""

import os
from typing import Final

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
PASSWORD: Final = "sesame"  # noqa: S105 - that of a test
CONFIGURATION: Final = """\
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
LogLevel Connect
BasicAuth worker {password}
"""


class TinyProxy(Closable):
    """A running proxy. `url` has its name and password, `address` has neither."""

    def __init__(self) -> None:
        program = ensure_program("tinyproxy", package="tinyproxy")
        user = ordinary_user()
        self._owned = OwnedDirectory("tinyproxy-", owner=user)
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://worker:{PASSWORD}@{self.address}"
        file = self._owned.path / "tinyproxy.conf"
        file.write_text(CONFIGURATION.format(port=port, password=PASSWORD))
        self._log = self._owned.path / "tinyproxy.log"
        self._process = OwnedProcess(
            [program, "-d", "-c", str(file)], environ=dict(os.environ), log=self._log, user=user
        )
        wait_until(
            lambda: listens(port),
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"Tinyproxy did not start:\n{self._process.log_tail()}",
        )

    @property
    def requests(self) -> list[str]:
        """The first line of each request, such as `CONNECT example.com:443 HTTP/1.1`."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line.rpartition("): ")[2] for line in lines if " Request (file descriptor" in line]

    def close(self) -> None:
        """Stop it permanently. May be called again."""
        self._process.kill()
        self._owned.remove()
