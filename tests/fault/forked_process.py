"""Processes that are forked from one that has imported the worker already; see `fork_server`."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sandbox.services.processes import print_progress
from tests.fault.fork_server import ForkReport, ForkRequest

ROOT: Final = Path(__file__).parents[2]
MAX_REPORT_BYTES: Final = 1_000


class ForkServer:
    """Starts workers by fork. The first one starts the server, which ends with this process."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None

    def fork(
        self, module: Sequence[str], *, environ: Mapping[str, str], log: Path
    ) -> "ForkedProcess":
        """`python -m <module>` in the directory of `log`, to whose end its output goes."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        name, *arguments = module
        start = ForkRequest(name, tuple(arguments), dict(environ), str(log.parent))
        with theirs, log.open("ab") as output:
            descriptors = [output.fileno(), theirs.fileno()]
            socket.send_fds(self._asked(), [msgspec.json.encode(start)], descriptors)
        return ForkedProcess(ours, log)

    def _asked(self) -> socket.socket:
        if self._asking is None:
            self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, "-m", "tests.fault.fork_server", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        return self._asking

    def close(self) -> None:
        """End it; what it has forked lives on until its own end. May be called again."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None
        if self._server is not None:
            self._server.wait()
            self._server = None


class ForkedProcess:
    """A process that can be signalled and killed, and that ends when this process does."""

    def __init__(self, line: socket.socket, log: Path) -> None:
        self._line = line
        self._log = log
        told = self._heard(None)
        assert told is not None, "the process that forks workers has died"
        assert told.pid is not None
        self.pid = told.pid
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """How it ended, minus the signal's number if one killed it; None while it runs."""
        if self._exit_code is None and (told := self._heard(0.0)):
            self._exit_code = told.exit_code
        return self._exit_code

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    def end(self, how: signal.Signals, *, seconds: float) -> None:
        """Ask it to end by the signal `how`; kill it when it has not within `seconds`."""
        if self.running:
            os.kill(self.pid, how)
            if told := self._heard(seconds):
                self._exit_code = told.exit_code
            else:
                print_progress(
                    f"process {self.pid} that writes {self._log} does not end, killing it"
                )
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would, and wait for its end. May be called again."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            told = self._heard(None)
            self._exit_code = told.exit_code if told else -signal.SIGKILL
        self._line.close()

    def _heard(self, seconds: float | None) -> ForkReport | None:
        """What is told within `seconds`, or without a limit; None if nothing is."""
        ready, _, _ = select.select([self._line], [], [], seconds)
        heard = self._line.recv(MAX_REPORT_BYTES) if ready else b""
        return msgspec.json.decode(heard, type=ForkReport) if heard else None


FORK_SERVER: Final = ForkServer() if sys.platform == "linux" else None
"""Those of this process."""
