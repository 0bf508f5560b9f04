"""A forked worker is a process like any other: its output, its exit code, its end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.waiting import Eventually
from tests.forked_process import ROOT, ForkServer
from tests.integration.cli_process import CommandLine

WAITING: Final = ("http.server", "--bind", "127.0.0.1", "0")
"""Run until the process is ended."""


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    forks = ForkServer()
    yield forks
    forks.close()


async def test_a_forked_process_has_only_its_own_environment_and_log_and_its_exit_code(
    forks: ForkServer, tmp_path: Path, eventually: Eventually
) -> None:
    log = tmp_path / "log"
    child = forks.fork(("worker", "config", "check"), environ={"LOG_LEVEL": "loud"}, log=log)
    await eventually(lambda: not child.running)
    assert child.exit_code == 2
    assert {"LOG_LEVEL", "REALTIMEKIT_API_TOKEN"} <= set(log.read_text().replace(":", "").split())
    child.kill()


async def test_a_forked_process_can_be_ended_by_a_signal_and_killed(
    forks: ForkServer, tmp_path: Path
) -> None:
    first = forks.fork(WAITING, environ={}, log=tmp_path / "log")
    second = forks.fork(WAITING, environ={}, log=tmp_path / "log")
    assert first.running
    first.end(signal.SIGTERM, seconds=10)
    assert first.exit_code == -signal.SIGTERM
    second.kill()
    assert second.exit_code == -signal.SIGKILL
    assert len({first.pid, second.pid}) == 2


@pytest.mark.parametrize(
    "arguments",
    [("topology", "show"), ("sned",), ("send", "-f", "-"), ("dead", "drop"), ("config", "check")],
    ids=" ".join,
)
async def test_a_forked_command_reads_writes_and_exits_as_the_installed_one(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    environ = {"AMQP_URL": "amqp://127.0.0.1:1/", "WORKER_NAME_PREFIX": "é"}
    forked = await CommandLine(environ, tmp_path)(*arguments, stdin=b"{")
    installed = await CommandLine(environ, tmp_path, installed=True)(*arguments, stdin=b"{")
    assert forked == installed
    assert forked.out or forked.err


async def test_a_forked_process_can_be_interrupted_and_says_its_last_words(
    forks: ForkServer, tmp_path: Path, eventually: Eventually
) -> None:
    child = forks.fork(WAITING, environ={"PYTHONUNBUFFERED": "1"}, log=tmp_path / "log")
    await eventually(lambda: "Serving" in (tmp_path / "log").read_text())
    child.end(signal.SIGINT, seconds=10)
    assert "Keyboard interrupt received" in (tmp_path / "log").read_text()
    assert child.exit_code == 0


async def test_a_process_that_another_one_s_server_forks_ends_with_its_requester_alone(
    forks: ForkServer, tmp_path: Path
) -> None:
    other = ForkServer()
    other.locate = forks.listen
    own = forks.fork(WAITING, environ={}, log=tmp_path / "log")
    others = other.fork(WAITING, environ={}, log=tmp_path / "log")
    others.kill()
    other.close()
    another = forks.fork(WAITING, environ={}, log=tmp_path / "log")
    assert own.running
    assert another.running
    for process in (own, another):
        process.kill()


OWNER_THAT_DIES: Final = f"""
import os, signal, sys
from pathlib import Path
from tests.forked_process import ForkServer
print(ForkServer().fork({WAITING!r}, environ={{}}, log=Path(sys.argv[1])).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_forked_process_does_not_outlive_its_requester(
    tmp_path: Path, eventually: Eventually
) -> None:
    command = [sys.executable, "-c", OWNER_THAT_DIES, str(tmp_path / "log")]
    owner = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, check=False, cwd=ROOT
    )
    pid = int(owner.stdout)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(gone)
