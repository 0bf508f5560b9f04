"""`python -m tests.fault.fork_server <socket>`: has imported the worker, and forks one per request.

A fork is up in a tenth of the time that a new interpreter takes to import the same. It is a process
as any other: it gets its environment, working directory and output by the request, begins
with the module's `__main__`, and can be killed.

A request is `ForkRequest` as JSON, with two descriptors: the log, and a socket. The socket gets the
process id, and later the exit code. If the socket is closed before, the process is killed.
"""

import contextlib
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from typing import Final, NoReturn

import msgspec

PRELOADED_MODULES: Final = (
    "worker.cli.root",
    "worker.app",
    "worker.cli.run",
    "worker.observability.logs",
    "worker.settings.settings",
    "uvloop",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "tests.fault.suspension_points",
)
"""What every worker imports sooner or later."""
MAX_REQUEST_BYTES: Final = 100_000


class ForkRequest(msgspec.Struct, frozen=True):
    """What to run: `python -m <module> <arguments>`, with exactly this environment."""

    module: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    directory: str


class ForkReport(msgspec.Struct, frozen=True):
    """One line to whoever asked: the process id, or the exit code (minus the signal's number)."""

    pid: int | None = None
    exit_code: int | None = None


def main() -> None:
    """Fork until nobody can ask any more."""
    for name in PRELOADED_MODULES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who watches over a worker reports, not we
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            request, descriptors, _, _ = socket.recv_fds(asked, MAX_REQUEST_BYTES, 2)
            if not request:
                return
            if os.fork() == 0:
                asked.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _watch_over(msgspec.json.decode(request, type=ForkRequest), *descriptors)
            for each in descriptors:
                os.close(each)


def _watch_over(start: ForkRequest, log: int, told: int) -> NoReturn:
    """Fork the worker, tell of its beginning and its end, and kill it when nobody listens."""
    ended, lives = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(ended)
        os.close(told)
        _become(start, log)
    os.close(lives)  # now the worker alone holds it open
    line = socket.socket(fileno=told)
    with contextlib.suppress(OSError):
        line.send(msgspec.json.encode(ForkReport(pid=worker)))
    ready, _, _ = select.select([ended, line.fileno()], [], [])
    if ended not in ready:
        os.kill(worker, signal.SIGKILL)
    # Report the end before reaping it: until then, no other process can get its id.
    end = os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    assert end is not None
    code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    with contextlib.suppress(OSError):
        line.send(msgspec.json.encode(ForkReport(exit_code=code)))
    os.waitpid(worker, 0)
    os._exit(0)


def _become(start: ForkRequest, log: int) -> NoReturn:
    """Be that process, from its first line to its exit code."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(start.environ)
    os.chdir(start.directory)
    sys.argv = [start.module, *start.arguments]
    code = 1
    try:
        runpy.run_module(start.module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the interpreter would print it and exit as well
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
