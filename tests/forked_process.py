"""Processes that are forked from one that has already imported the worker; see `fork_server`."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from recording_sandbox.services.processes import print_progress
from tests.fork_server import ForkReport, ForkRequest

ROOT: Final = Path(__file__).parents[1]
MAX_REPORT_BYTES: Final = 1_000


class ForkServer:
    """Starts processes by fork. The first one starts the server, which ends with this process.

    With `locate`, the processes are forked by the server of another process. `locate` returns the
    address of that server.
    """

    def __init__(self) -> None:
        self.locate: Callable[[], bytes] = self.listen
        self._server: subprocess.Popen[bytes] | None = None
        self._address = b""
        self._owner: socket.socket | None = None
        self._requests: socket.socket | None = None

    def fork(
        self, module: Sequence[str], *, environ: Mapping[str, str], log: Path
    ) -> "ForkedProcess":
        """`python -m <module>` in the directory of `log`, to whose end its output goes."""
        with log.open("ab") as output:
            descriptors = (None, output.fileno(), output.fileno())
            return ForkedProcess(self._request(module, environ, log.parent, *descriptors), log)

    def fork_in_loop(
        self,
        module: Sequence[str],
        *,
        environ: Mapping[str, str],
        directory: Path,
        stdin: int | None = None,
        stdout: int,
        stderr: int,
    ) -> "ForkedSubprocess":
        """`python -m <module>` for the running event loop, with these standard streams."""
        return ForkedSubprocess(self._request(module, environ, directory, stdin, stdout, stderr))

    def _request(
        self,
        module: Sequence[str],
        environ: Mapping[str, str],
        directory: Path,
        stdin: int | None,
        stdout: int,
        stderr: int,
    ) -> socket.socket:
        """Request a process. Returns the socket that receives its id and its exit code."""
        reports, process_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        name, *arguments = module
        request = ForkRequest(name, tuple(arguments), dict(environ), str(directory))
        with process_end, Path(os.devnull).open("rb") as nothing:
            descriptors = [
                nothing.fileno() if stdin is None else stdin,
                stdout,
                stderr,
                process_end.fileno(),
            ]
            socket.send_fds(self._connected(), [msgspec.json.encode(request)], descriptors)
        return reports

    def _connected(self) -> socket.socket:
        if self._requests is None:
            requests = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            requests.connect(self.locate())
            self._requests = requests
        return self._requests

    def listen(self) -> bytes:
        """Start the server of this process unless it runs. Returns its address."""
        if self._server is None:
            self._owner, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with server_end, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind("")  # to an address that is free, and no file
                listener.listen()
                self._address = listener.getsockname()
                descriptors = [server_end.fileno(), listener.fileno()]
                self._server = subprocess.Popen(
                    [sys.executable, "-m", "tests.fork_server", *map(str, descriptors)],
                    pass_fds=descriptors,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        return self._address

    def close(self) -> None:
        """End it and, if this process owns it, its forks. May be called again."""
        for end in (self._requests, self._owner):
            if end is not None:
                end.close()
        self._requests = self._owner = None
        if self._server is not None:
            self._server.wait()
            self._server = None


class ForkedProcess:
    """A process that can be signalled and killed, and that ends when this process does."""

    def __init__(self, line: socket.socket, log: Path) -> None:
        self._line = line
        self._log = log
        self.pid = _pid_from(line)
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """How it ended, minus the signal's number if one killed it; None while it runs."""
        if self._exit_code is None and (report := _receive(self._line, 0.0)):
            self._exit_code = report.exit_code
        return self._exit_code

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    def end(self, number: signal.Signals, *, seconds: float) -> None:
        """Send it a signal, and kill it when it has not ended within `seconds`."""
        if self.running:
            os.kill(self.pid, number)
            if report := _receive(self._line, seconds):
                self._exit_code = report.exit_code
            else:
                print_progress(
                    f"process {self.pid} that writes {self._log} does not end, killing it"
                )
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would, and wait for its end. May be called again."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            report = _receive(self._line, None)
            self._exit_code = report.exit_code if report else -signal.SIGKILL
        self._line.close()


class ForkedSubprocess:
    """A forked process for asyncio, with the parts of `asyncio.subprocess.Process` that tests use.

    It ends when this process does.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.pid = _pid_from(line)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(line, self._read_end)

    def _read_end(self) -> None:
        report = _receive(self._line, 0.0)
        self._loop.remove_reader(self._line)
        self._line.close()
        code = report.exit_code if report else None
        self._ended.set_result(-signal.SIGKILL if code is None else code)

    @property
    def returncode(self) -> int | None:
        """How it ended, minus the signal's number if one killed it; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for its end. Returns the exit code."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash would. May be called again."""
        self.send_signal(signal.SIGKILL)


def _pid_from(line: socket.socket) -> int:
    report = _receive(line, None)
    assert report is not None, "the process that forks workers has died"
    assert report.pid is not None
    return report.pid


def _receive(line: socket.socket, seconds: float | None) -> ForkReport | None:
    """The report within `seconds`, or without a limit; None if there is none."""
    ready, _, _ = select.select([line], [], [], seconds)
    report = line.recv(MAX_REPORT_BYTES) if ready else b""
    return msgspec.json.decode(report, type=ForkReport) if report else None


FORK_SERVER: Final = ForkServer() if sys.platform == "linux" else None
"""The fork server of this process; None where processes are not forked."""
