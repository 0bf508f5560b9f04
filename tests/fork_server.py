"""`python -m tests.fork_server <owner> <listener>`: imports the worker, and forks it on request.

A fork starts in a tenth of the time that a new interpreter takes for the imports. It is a normal
process: the request gives its environment, working directory and standard streams, it begins with
the module's `__main__`, and it can be killed.

Every client that connects to the listener may send requests. When the other end of the owner's
socket is closed, the server kills its forks and ends.

A request is `ForkRequest` as JSON, with four descriptors: stdin, stdout, stderr, and a socket. The
socket gets the process id, and later the exit code. If the socket is closed before, the process is
killed.
"""

import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NoReturn

import msgspec

import worker
from worker.store.database.engine import open_engine
from worker.store.database.migrate import migrate

LATE_IMPORTS: Final = (
    "uvloop",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "encodings.idna",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "httpcore",
    "click._textwrap",
    "tests.fault.suspension_points",
)
"""Libraries that workers and other commands import besides the modules of `worker`."""
MAX_REQUEST_BYTES: Final = 100_000


class ForkRequest(msgspec.Struct, frozen=True):
    """What to run: `python -m <module> <arguments>`, with exactly this environment."""

    module: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    directory: str


class ForkReport(msgspec.Struct, frozen=True):
    """One line to the requester: the process id, or the exit code (minus the signal's number)."""

    pid: int | None = None
    exit_code: int | None = None


def main() -> None:
    """Fork until the owner ends."""
    for name in (*_worker_modules(), *LATE_IMPORTS):
        importlib.import_module(name)
    _render_tables()
    gc.collect()
    gc.freeze()  # else the collector of each fork copies every page of these modules
    owner, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    _Server(owner, listener).serve()


class _Server:
    """Accepts requests, forks, and reports ends, until the owner ends."""

    def __init__(self, owner: socket.socket, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._has_owner = True
        self._running: set[int] = set()
        self._on_event(owner, self._lose_owner)
        self._on_event(listener, partial(self._accept, listener))

    def serve(self) -> None:
        """Accept requests, fork and report ends, until the owner ends."""
        while self._has_owner:
            for key, _ in self._selector.select():
                if key.fd in self._selector.get_map():  # an event before may have ended it
                    key.data()

    def _on_event(self, source: socket.socket | int, act: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, act)

    def _lose_owner(self) -> None:
        self._has_owner = False
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)

    def _accept(self, listener: socket.socket) -> None:
        requester = listener.accept()[0]
        self._on_event(requester, partial(self._answer, requester))

    def _answer(self, requester: socket.socket) -> None:
        try:
            request, descriptors, _, _ = socket.recv_fds(requester, MAX_REQUEST_BYTES, 4)
        except ConnectionError:
            request = b""
        if request:
            self._fork(msgspec.json.decode(request, type=ForkRequest), *descriptors)
        else:
            self._selector.unregister(requester)
            requester.close()

    def _fork(
        self, request: ForkRequest, stdin: int, stdout: int, stderr: int, reports: int
    ) -> None:
        """Fork the process, report its beginning, and watch it."""
        pid = os.fork()
        if pid == 0:
            self._close_all()
            os.close(reports)
            _run(request, stdin, stdout, stderr)
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        line = socket.socket(fileno=reports)
        with contextlib.suppress(OSError):
            line.send(msgspec.json.encode(ForkReport(pid=pid)))
        process = os.pidfd_open(pid)
        self._running.add(pid)
        self._on_event(line, partial(self._kill, pid, line))
        self._on_event(process, partial(self._report_end, pid, process, line))

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            else:
                os.close(key.fd)
        self._selector.close()

    def _kill(self, pid: int, line: socket.socket) -> None:
        """The client has closed its socket."""
        self._selector.unregister(line)
        os.kill(pid, signal.SIGKILL)

    def _report_end(self, pid: int, process: int, line: socket.socket) -> None:
        # Report the end before reaping it: until then, no other process can get its id.
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        with contextlib.suppress(OSError):
            line.send(msgspec.json.encode(ForkReport(exit_code=code)))
        self._running.remove(pid)
        os.waitpid(pid, 0)
        self._selector.unregister(process)
        os.close(process)
        if line in self._selector.get_map():
            self._selector.unregister(line)
        line.close()


def _worker_modules() -> Iterator[str]:
    """Import all modules: late imports, such as the archive's, would take time in each fork."""
    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        if module.name != "worker.__main__":
            yield module.name


def _render_tables() -> None:
    """Create the tables once, in memory: each fork then knows the statements already."""
    engine = open_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


def _run(request: ForkRequest, *streams: int) -> NoReturn:
    """Be that process, from its first line to its exit code."""
    os.setsid()
    _replace_streams(streams, unbuffered=bool(request.environ.get("PYTHONUNBUFFERED")))
    os.environ.clear()
    os.environ.update(request.environ)
    os.chdir(request.directory)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [request.module, *request.arguments]
    code = _exit_code_of(request.module)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _replace_streams(streams: tuple[int, ...], *, unbuffered: bool) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    buffering = 1 if unbuffered or os.isatty(1) else -1
    sys.stdin = os.fdopen(0, closefd=False, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8", buffering=buffering)
    sys.stderr = os.fdopen(
        2, "w", closefd=False, encoding="utf-8", errors="backslashreplace", buffering=1
    )


def _exit_code_of(module: str) -> int:
    """Run the module as the interpreter would. A process that is interrupted does not return."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - the interpreter would print it and exit as well
        traceback.print_exc()
    else:
        return 0
    return 1


if __name__ == "__main__":
    main()
