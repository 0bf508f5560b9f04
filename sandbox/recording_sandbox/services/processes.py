"""Child processes and directories that never outlive the process that made them."""

import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class LaunchError(Exception):
    """A service could not be started. The text says what to do."""


def print_progress(text: str) -> None:
    """Print the reason for a long wait on stderr."""
    print(text, file=sys.stderr, flush=True)


def wait_until(fact: Callable[[], bool], *, seconds: float, otherwise: Callable[[], str]) -> None:
    """Return as soon as `fact()` is true. Blocks.

    Raises:
        LaunchError: after `seconds`, with the text `otherwise()`.
    """
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise LaunchError(otherwise())
        time.sleep(0.03)


def with_open_files(limit: int, command: Sequence[str]) -> list[str]:
    """The command, so that it may open as many files as its user is allowed, up to `limit`.

    Many systems let an ordinary user's process open 1,024 files unless it asks for more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return list(command)
    return ["/bin/sh", "-c", f'ulimit -S -n {allowed}; exec "$@"', "sh", *command]


class Guard:
    """Runs a line of shell when this process ends, also by SIGKILL, unless it is released before.

    It waits for the end of a pipe whose writing end closes with this process. Unlike a parent-death
    signal, it does not run when only the thread that started it ends.
    """

    def __init__(self, line: str, *arguments: str) -> None:
        watch = f"trap '' INT TERM HUP; read -r _; {line}"
        self._process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", watch, "guard", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def release(self) -> None:
        """Do not run the line. May be called again."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class OwnedDirectory:
    """A new temporary directory. It is deleted by `remove`, or when this process ends."""

    def __init__(self, prefix: str, *, owner: str | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # Processes that still write into it are killed at the same time by their own guards.
        self._guard = Guard('sleep 1; rm -rf -- "$1"', str(self.path))
        if owner is not None:
            shutil.chown(self.path, owner)

    def remove(self) -> None:
        """Delete it with its content. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._guard.release()


class OwnedProcess:
    """A child process in a new process group.

    If this process ends first, the group gets `orphan_signal`. Output is appended to `log`. `user`
    is the name of the user to run as, or None.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        log: Path,
        user: str | None = None,
        orphan_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._log = log
        self._is_killed = False
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                user=user,
                group=user and _primary_group(user),
                extra_groups=None if user is None else [],
                start_new_session=True,
            )
        self._guard = Guard(f'kill -s {orphan_signal.name[3:]} -- "-$1"', str(self._process.pid))

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; minus the signal's number if it was killed; None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    def end(self, number: signal.Signals, *, seconds: float) -> None:
        """Send it a signal, and wait for its end.

        After its end, the rest of its group is killed. After `seconds` it is killed too.
        """
        if self.running:
            self._process.send_signal(number)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                print_progress(f"{self._process.args!r} does not end, killing it")
        self.kill()

    def kill(self) -> None:
        """Kill it and its group, as a crash would. May be called again."""
        if self._is_killed:
            return
        self._is_killed = True
        with suppress(ProcessLookupError):  # neither it nor a child of it is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.release()

    def log_tail(self) -> str:
        """The last characters of its output, for error messages."""
        return self._log.read_text(errors="replace")[-2_000:]


def ordinary_user() -> str | None:
    """The user to run the server as, because it refuses to run as root. None: our own user."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in users:
            return name
    raise LaunchError("This server does not run as root, and there is no user postgres or nobody.")


def _primary_group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float = 60,
    user: str | None = None,
    stdin: str = "",
) -> str:
    """Run a command, which reads `stdin`. Returns its stdout.

    Raises:
        LaunchError: if it fails or takes longer than `seconds`. The text has its output.
    """
    try:
        result = subprocess.run(  # noqa: S603
            command,
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            user=user,
            group=user and _primary_group(user),
            extra_groups=None if user is None else [],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"{' '.join(command)} took longer than {seconds:g} s") from error
    if result.returncode:
        raise LaunchError(
            f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}{result.stderr}"
        )
    return result.stdout
