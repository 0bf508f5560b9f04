"""The installed command on a pseudo-terminal."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.integration.cli_process import EXECUTABLE, PROCESS_TIMEOUT_SECONDS, CommandLine


class PseudoTerminal:
    """The user's side of a pseudo-terminal."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._output = b""
        self._has_output = asyncio.Event()
        self._is_closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(number, self._read)

    def _read(self) -> None:
        try:
            self._output += os.read(self._number, 65536)
        except OSError:  # the other side is closed
            asyncio.get_running_loop().remove_reader(self._number)
            self._is_closed.set()
        self._has_output.set()

    async def says(self, words: str) -> None:
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            while words.encode() not in self._output:
                self._has_output.clear()
                await self._has_output.wait()

    async def all(self) -> str:
        """All output, after the other side is closed."""
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            await self._is_closed.wait()
        return self._output.decode()

    def types(self, text: bytes) -> None:
        os.write(self._number, text)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._number)
        os.close(self._number)


@asynccontextmanager
async def run_on_terminal(
    cli: CommandLine, *arguments: str
) -> AsyncIterator[tuple[PseudoTerminal, asyncio.subprocess.Process]]:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE,
        *arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], **cli.environ},
    )
    os.close(theirs)
    terminal = PseudoTerminal(ours)
    try:
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        terminal.close()
