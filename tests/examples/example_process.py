"""A program of `examples/` as a process."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from recording_sandbox.waiting import eventually

ROOT: Final = Path(__file__).parents[2]
INTEGRATIONS: Final = ROOT / ".venv-integrations" / "bin"
TIME_LIMIT: Final = 30.0
_INHERITED: Final = ("HOME", "LANG", "PATH", "TMPDIR")


class ExampleProcess:
    """A running program. Its output goes to `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    async def has_logged(self, text: str, *, times: int = 1) -> None:
        """Wait until its log contains the text, or contains it several times."""

        def logged() -> bool:
            if self._process.returncode is not None:
                raise RuntimeError(f"the program has ended:\n{self.log.read_text()}")
            return self.log.read_text().count(text) >= times

        await eventually(logged, seconds=TIME_LIMIT)

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def terminate(self) -> int:
        """End it as Kubernetes does. Returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIME_LIMIT):
            return await self._process.wait()


@asynccontextmanager
async def running(
    program: Sequence[str | Path], *, folder: Path, log: Path, **variables: str
) -> AsyncIterator[ExampleProcess]:
    """The program in `folder` with these environment variables only. It is killed at the end."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *program,
            cwd=folder,
            env=_environ(variables),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield ExampleProcess(process, log)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def output_of(program: Sequence[str | Path], *, folder: Path, **variables: str) -> str:
    """The program's output. It must succeed."""
    code, output, errors = await _run(program, folder, variables)
    assert code == 0, errors
    return output


async def error_of(program: Sequence[str | Path], *, folder: Path, **variables: str) -> str:
    """The program's error output. It must fail."""
    code, output, errors = await _run(program, folder, variables)
    assert code == 1, output
    return errors


async def _run(
    program: Sequence[str | Path], folder: Path, variables: Mapping[str, str]
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=folder,
        env=_environ(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(), errors.decode()


def _environ(variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT / "schemas"), **variables}
