"""`recording-worker`, forked from a process that has imported it already, with pipes."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.forked_process import ForkedSubprocess, ForkServer


class ForkedCommand:
    """A forked command, with the parts of `asyncio.subprocess.Process` that tests use."""

    def __init__(
        self,
        process: ForkedSubprocess,
        stdin: int,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._stdin: int | None = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.send_signal = process.send_signal
        self.kill = process.kill

    @classmethod
    async def begin(
        cls,
        server: ForkServer,
        arguments: tuple[str, ...],
        *,
        environ: Mapping[str, str],
        directory: Path,
    ) -> Self:
        """`recording-worker <arguments>` in this directory, with exactly this environment."""
        pipes = [os.pipe() for _ in range(3)]
        (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = pipes
        process = server.fork_in_loop(
            ("worker", *arguments),
            environ=environ,
            directory=directory,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        for theirs in (stdin, stdout, stderr):
            os.close(theirs)
        return cls(process, to_stdin, await _reader(from_stdout), await _reader(from_stderr))

    @property
    def returncode(self) -> int | None:
        """The exit code; the negative signal number if a signal killed it; None while it runs."""
        return self._process.returncode

    async def communicate(self, stdin: bytes = b"") -> tuple[bytes, bytes]:
        """Write `data` to stdin, close it, and wait for the end. Returns the output."""
        _, out, err = await asyncio.gather(
            asyncio.to_thread(self._write, stdin), self.stdout.read(), self.stderr.read()
        )
        await self._process.wait()
        return out, err

    def _write(self, stdin: bytes) -> None:
        if self._stdin is None:
            return
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._stdin, "wb") as pipe:
            self._stdin = None
            pipe.write(stdin)


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    return reader
