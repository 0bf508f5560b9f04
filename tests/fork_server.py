"""`python -m tests.fork_server <owner> <listener>`: imports the worker, and forks it on request.

A fork is up in a tenth of the time that a new interpreter takes to import the same. It is a process
as any other: it gets its environment, working directory and standard streams by the request, begins
with the module's `__main__`, and can be killed.

Everybody who connects to the listener may send requests. The server ends when the other end of the
owner's socket is closed.

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
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
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
"""What workers and other commands import besides the modules of `worker`, sooner or later."""
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # each watcher reports its process, not we
    owner, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    _serve(owner, listener)


def _serve(owner: socket.socket, listener: socket.socket) -> None:
    sockets = [owner, listener]
    while True:
        ready, _, _ = select.select(sockets, [], [])
        if owner in ready:
            return
        for requester in ready:
            if requester is listener:
                sockets.append(listener.accept()[0])
            elif not _answer(requester, sockets):
                sockets.remove(requester)
                requester.close()


def _answer(requester: socket.socket, sockets: Sequence[socket.socket]) -> bool:
    """Fork a process for the next request. Returns False when the requester has ended."""
    try:
        request, descriptors, _, _ = socket.recv_fds(requester, MAX_REQUEST_BYTES, 4)
    except ConnectionError:
        return False
    if request and os.fork() == 0:
        for inherited in sockets:
            inherited.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _watch(msgspec.json.decode(request, type=ForkRequest), *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return bool(request)


def _worker_modules() -> Iterator[str]:
    """All of them: what is imported late, such as the archive, would take each fork a while."""
    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        if module.name != "worker.__main__":
            yield module.name


def _render_tables() -> None:
    """Create the tables once, in memory: each fork then knows the statements already."""
    engine = open_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection, [])
    engine.dispose()


def _watch(request: ForkRequest, stdin: int, stdout: int, stderr: int, reports: int) -> NoReturn:
    """Fork the process, report its beginning and its end; kill it when nobody listens."""
    ended, lives = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ended)
        os.close(reports)
        _run(request, stdin, stdout, stderr)
    # Only the process holds these open now: the other ends notice when it ends.
    for descriptor in (lives, stdin, stdout, stderr):
        os.close(descriptor)
    line = socket.socket(fileno=reports)
    with contextlib.suppress(OSError):
        line.send(msgspec.json.encode(ForkReport(pid=pid)))
    ready, _, _ = select.select([ended, line.fileno()], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    # Report the end before reaping it: until then, no other process can get its id.
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert end is not None
    code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    with contextlib.suppress(OSError):
        line.send(msgspec.json.encode(ForkReport(exit_code=code)))
    os.waitpid(pid, 0)
    os._exit(0)


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
