"""Processes that stand in for services, and that never outlive whoever started them."""

import os
import pwd
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
    """A service could not be had; the text says what to do about it."""


def print_progress(text: str) -> None:
    """Tell whoever waits what takes so long, on stderr."""
    print(text, file=sys.stderr, flush=True)


def wait_until(fact: Callable[[], bool], *, seconds: float, otherwise: Callable[[], str]) -> None:
    """Return as soon as `fact()` holds.

    Raises:
        LaunchError: with `otherwise()` as its text when `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise LaunchError(otherwise())
        time.sleep(0.03)


class Guard:
    """Runs a line of shell when this process has gone, however it went, unless released first.

    A pipe tells: its writing end closes with this process, also after SIGKILL. Unlike a
    parent-death signal it does not fire when merely the thread that started it ends.
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
        """Never run the line. May be called again."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class OwnedDirectory:
    """A new temporary directory that goes when it is removed or when this process ends."""

    def __init__(self, prefix: str, *, owner: str | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # What still writes into it is killed by guards of its own at the same moment.
        self._guard = Guard('sleep 1; rm -rf -- "$1"', str(self.path))
        if owner is not None:
            shutil.chown(self.path, owner)

    def remove(self) -> None:
        """Delete it with all it holds. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._guard.release()


class OwnedProcess:
    """A child in a process group of its own, which gets `if_left` when this process ends.

    Output goes to the end of the file `log`. `user` is a name to run as, or None.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        log: Path,
        user: str | None = None,
        if_left: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._log = log
        self._over = False
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
        self._guard = Guard(f'kill -s {if_left.name[3:]} -- "-$1"', str(self._process.pid))

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, minus the signal's number if one killed it; None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    def end(self, how: signal.Signals, *, seconds: float) -> None:
        """Ask it to end by the signal `how`.

        What is left of its group when it has ended, or after `seconds`, is killed.
        """
        if self.running:
            self._process.send_signal(how)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                print_progress(f"{self._process.args!r} does not end, killing it")
        self.kill()

    def kill(self) -> None:
        """End it and its group at once, as a crash would. May be called again."""
        if self._over:
            return
        self._over = True
        with suppress(ProcessLookupError):  # nothing is left, neither of it nor of its children
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.release()

    def log_tail(self) -> str:
        """The end of its output, for error messages."""
        return self._log.read_text(errors="replace")[-2_000:]


def _primary_group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float = 60,
    user: str | None = None,
) -> str:
    """What `command` prints.

    Raises:
        LaunchError: when it fails or takes longer than `seconds`; the text has its output.
    """
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            user=user,
            group=user and _primary_group(user),
            extra_groups=None if user is None else [],
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise LaunchError(f"{' '.join(command)} took longer than {seconds:g} s") from late
    if done.returncode:
        raise LaunchError(
            f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout
