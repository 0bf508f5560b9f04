"""Worker processes that tests kill."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually
from tests.forked_process import ForkedProcess, ForkServer
from tests.loopback_server import connected_to

WORKER_MODULE: Final = ("worker", "run")
KILL_POINT_MODULE: Final = ("tests.fault.kill_point_worker",)
BROKEN_MODULE: Final = ("tests.fault.broken_worker",)
ROOT: Final = Path(__file__).parents[2]


class KillableWorker:
    """`python -m <module>` with these settings; never outlives this process.

    It serves HTTP on `port`. Changes of `settings` take effect at its next start. `starts` and
    `kills` count over its life. Its output is appended to `log`. With `forks` it is forked from a
    process that has imported the worker; otherwise it begins as a new interpreter. With `within`,
    that command runs the worker: SIGTERM goes to the command, and the worker is killed together
    with it.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        log: Path,
        *,
        forks: ForkServer | None = None,
        within: Sequence[str] = (),
    ) -> None:
        (self.port,) = free_ports(1)
        self.settings = {**settings, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(self.port)}
        self.log = log
        self._forks = None if within else forks
        self._within = within
        self._process: OwnedProcess | ForkedProcess | None = None
        self.starts = 0
        self.kills = 0

    def start(self, module: tuple[str, ...] = WORKER_MODULE, **more: str) -> None:
        """Start it, with `more` in its environment. It is not up yet when this returns."""
        assert not self.running
        self.starts += 1
        path = os.environ.get("PATH", "")
        environ = {"PATH": path, "PYTHONPATH": str(ROOT), **self.settings, **more}
        if self._forks is not None:
            self._process = self._forks.fork(module, environ=environ, log=self.log)
        else:
            self._process = OwnedProcess(
                [*self._within, sys.executable, "-m", *module], environ=environ, log=self.log
            )

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; the negative signal number if a signal killed it; None while it runs."""
        return None if self._process is None else self._process.exit_code

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self._process is not None:
            self.kills += self._process.running
            self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing until `thaw`, as on a suspended machine."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: the process continues."""
        os.kill(self.pid, signal.SIGCONT)

    def died(self) -> None:
        """Note that the worker has killed itself, and stop watching it."""
        assert self._process is not None
        assert not self._process.running
        self.kills += 1
        self._process.kill()

    def stop(self, *, seconds: float = 40.0) -> None:
        """Send SIGTERM, and SIGKILL after `seconds`."""
        if self._process is not None:
            self._process.end(signal.SIGTERM, seconds=seconds)

    async def ready(self, *, seconds: float = 60.0) -> None:
        """Return when `/readyz` says 200. AssertionError when it ended before, or is late."""
        await eventually(self._answers_or_ended, seconds=seconds, description="the worker is ready")
        assert self.running, self.last_words()

    def last_words(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-3_000:]

    async def _answers_or_ended(self) -> bool:
        return not self.running or await _status(self.port) == b"200"


async def _status(port: int) -> bytes:
    """The status of `GET /readyz`; empty without an answer."""
    try:
        async with asyncio.timeout(2), connected_to("127.0.0.1", port) as (reader, writer):
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            line = await reader.readline()
    except (OSError, TimeoutError):
        return b""
    return line.split(b" ")[1] if line.count(b" ") > 1 else b""
