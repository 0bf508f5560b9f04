"""The command as a separate process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from recording_sandbox.api.server import Sandbox
from tests.e2e.worker_environment import settings
from tests.forked_process import FORK_SERVER
from tests.integration.forked_command import ForkedCommand

EXECUTABLE = Path(sys.executable).parent / "recording-worker"
PROCESS_TIMEOUT_SECONDS = 40.0


class FinishedProcess(msgspec.Struct, frozen=True):
    """The exit code and the output of a process."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Its output, as JSON lines, or as one indented object after another."""
        ends = "\n}\n" if self.out.startswith("{\n") else "\n"
        return [msgspec.json.decode(f"{text}{ends}") for text in self.out.split(ends)[:-1]]


class RunningProcess:
    """A process that is still running."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedCommand) -> None:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = process.stdout
        self.err = process.stderr

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def says(self, words: str) -> str:
        """The next line on stderr that contains these words."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            output = ""
            while line := (await self.err.readline()).decode():
                output += line
                if words in line:
                    return line
        raise AssertionError(f"{words!r} was not said before the end of:\n{output}")

    async def line(self) -> str:
        """The next line on stdout."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            return (await self.out.readline()).decode()

    async def end(self, stdin: bytes = b"") -> FinishedProcess:
        """Wait for the end; `out` and `err` are the output that was not read before."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            out, err = await self._process.communicate(stdin)
        assert self._process.returncode is not None
        return FinishedProcess(self._process.returncode, out.decode(), err.decode())

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


class CommandLine:
    """Runs `recording-worker` with these variables and none of this process.

    If possible, it is forked from a process that has imported it. With `installed`, or with a
    variable that only a new interpreter reads, it is the installed command.
    """

    def __init__(
        self, environ: Mapping[str, str], directory: Path, *, installed: bool = False
    ) -> None:
        self.environ = dict(environ)
        self._directory = directory
        self._forks = None if installed else FORK_SERVER

    async def __call__(
        self, *arguments: str, stdin: bytes = b"", **environ: str
    ) -> FinishedProcess:
        """Run it to its end."""
        async with self.running(*arguments, environ=environ) as running:
            return await running.end(stdin)

    @asynccontextmanager
    async def running(
        self, *arguments: str, environ: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[RunningProcess]:
        """Start it; a process that still runs at the end of the block is killed."""
        all_variables = {"PATH": os.environ["PATH"], **self.environ, **environ}
        running = RunningProcess(await self._begin(arguments, all_variables))
        try:
            yield running
        finally:
            await running.kill()

    async def _begin(
        self, arguments: tuple[str, ...], environ: Mapping[str, str]
    ) -> asyncio.subprocess.Process | ForkedCommand:
        is_for_interpreter = any(name == "TZ" or name.startswith("PYTHON") for name in environ)
        if self._forks is not None and not is_for_interpreter:
            return await ForkedCommand.begin(
                self._forks, arguments, environ=environ, directory=self._directory
            )
        return await asyncio.create_subprocess_exec(
            EXECUTABLE,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            cwd=self._directory,
        )


def worker_command_line(
    amqp_url: str, prefix: str, sandbox: Sandbox, database_url: str, directory: Path, **more: str
) -> CommandLine:
    """The command line with the settings of a worker."""
    served = {"DATABASE_URL": database_url, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0"}
    return CommandLine(settings(amqp_url, prefix, sandbox, **(served | more)), directory)
