"""The installed command as a process of its own, the way users have it."""

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

EXECUTABLE = Path(sys.executable).parent / "recording-worker"
PROCESS_TIMEOUT_SECONDS = 40.0


class FinishedProcess(msgspec.Struct, frozen=True):
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """What it printed, as JSON lines."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


class RunningProcess:
    """A process that is still running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = process.stdout
        self.err = process.stderr

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def says(self, words: str) -> str:
        """The next line on stderr that has these words."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            heard = ""
            while line := (await self.err.readline()).decode():
                heard += line
                if words in line:
                    return line
        raise AssertionError(f"{words!r} was not said before the end of:\n{heard}")

    async def line(self) -> str:
        """The next line on stdout."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            return (await self.out.readline()).decode()

    async def end(self) -> FinishedProcess:
        """Wait for its end; `out` and `err` are what has not been read before."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return FinishedProcess(self._process.returncode, out.decode(), err.decode())

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class CommandLine:
    """Runs `recording-worker` with these variables and no others of ours."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self.environ = dict(environ)
        self._directory = directory

    async def __call__(
        self, *arguments: str, stdin: bytes = b"", **environ: str
    ) -> FinishedProcess:
        """Run it to its end."""
        async with self.running(*arguments, environ=environ) as running:
            process = running._process
            assert process.stdin is not None
            async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
                out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return FinishedProcess(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def running(
        self, *arguments: str, environ: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[RunningProcess]:
        """Start it; what is left of it at the end of the block is killed."""
        process = await asyncio.create_subprocess_exec(
            EXECUTABLE,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **self.environ, **environ},
            cwd=self._directory,
        )
        running = RunningProcess(process)
        try:
            yield running
        finally:
            running.kill()
            await process.communicate()
