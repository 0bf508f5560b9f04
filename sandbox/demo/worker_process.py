"""The worker as a process of its own, met from outside only: environment, HTTP, signals."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from sandbox.services.ports import free_ports
from sandbox.services.processes import Guard, LaunchError
from sandbox.waiting import eventually

READY_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 2.0
_OURS: Final = ("AMQP_", "DATABASE_", "HTTP_", "LOG_", "OTEL_", "REALTIMEKIT_", "WORKER_")


class WorkerProcess:
    """`python -m <module>` with exactly the given settings, in `directory`.

    Whatever settings this process was started with are not inherited. What the worker writes goes
    to the end of `log`. It gets SIGTERM when this process ends without having stopped it.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        directory: Path,
        *,
        module: tuple[str, ...] = ("worker", "run"),
    ) -> None:
        (port,) = free_ports(1)
        self.settings = {"HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(port), **settings}
        self.directory = directory
        self._module = module
        self.log = directory / "worker.log"
        self.url = f"http://127.0.0.1:{self.settings['HTTP_PORT']}"
        self._process: Process | None = None
        self._guard: Guard | None = None

    async def start(self) -> None:
        """Start it; it need not be up when this returns. Also again, after it ended."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._module,
                env={**_inherited(), **self.settings},
                cwd=self.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._guard = Guard('kill -s TERM -- "-$1"', str(self._process.pid))

    async def ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Return when `/readyz` says so.

        Raises:
            LaunchError: with the end of its log when it ended, or was not ready in time.
        """
        answer: tuple[int, Any] = (0, None)

        async def is_ready_or_ended() -> bool:
            nonlocal answer
            answer = await self.probe("/readyz")
            return answer[0] == 200 or not self.running

        try:
            await eventually(is_ready_or_ended, seconds=seconds)
        except AssertionError as late:
            raise LaunchError(f"the worker is not ready: {answer}\n{self.log_tail()}") from late
        if not self.running:
            raise LaunchError(f"the worker ended while starting:\n{self.log_tail()}")

    async def probe(self, path: str) -> tuple[int, Any]:
        """Status and decoded body of `GET path`; (0, why) when nobody answers."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(self.url + path) as answer,
            ):
                told = await (answer.json() if "json" in answer.content_type else answer.text())
                return answer.status, told
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, repr(error)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended yet."""
        return self._process is not None and self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, and return at once."""
        self._started.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended; minus the signal's number if one killed it."""
        code = await self._started.wait()
        if self._guard is not None:
            self._guard.release()
        return code

    async def stop(self, *, seconds: float = 40.0) -> int:
        """End it as Kubernetes would: SIGTERM, and SIGKILL after so long. Its exit code.

        Also who is cancelled while waiting for its end leaves it ended.
        """
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                return await self.ended()
        except TimeoutError:
            return await self.kill()
        except asyncio.CancelledError:
            await self.kill()
            raise

    async def kill(self) -> int:
        """End it at once, as a crash would. May be called again."""
        if self.running:
            self.signal(signal.SIGKILL)
        return await self.ended()

    def log_tail(self, characters: int = 2_000) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    @property
    def _started(self) -> Process:
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
