"""The worker as a separate process, used only from outside: environment, HTTP, signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import Guard, LaunchError
from recording_sandbox.waiting import eventually

READY_TIMEOUT_SECONDS: Final = 60.0
STOP_TIMEOUT_SECONDS: Final = 40.0
PROBE_TIMEOUT_SECONDS: Final = 2.0
_SETTING_PREFIXES: Final = (
    "AMQP_",
    "DATABASE_",
    "HTTP_",
    "LOG_",
    "OTEL_",
    "REALTIMEKIT_",
    "WORKER_",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)


class ChildProcess(Protocol):
    """The parts of `asyncio.subprocess.Process` that the demo uses."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, signal: int, /) -> None: ...
    async def wait(self) -> int: ...


class WorkerProcess:
    """`python -m <module>` with exactly the given settings, in `directory`.

    It does not inherit the settings of this process. Its output is appended to `log`. If this
    process ends without stopping it, it gets SIGTERM.
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
        self._process: ChildProcess | None = None
        self._guard: Guard | None = None

    async def start(self) -> None:
        """Start the process, and return before it is ready. May be called again after its end."""
        with self.log.open("ab") as output:
            self._process = await self._launch(output.fileno(), {**_inherited(), **self.settings})
        self._guard = Guard('kill -s TERM -- "-$1"', str(self._process.pid))

    async def _launch(self, output: int, environ: Mapping[str, str]) -> ChildProcess:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self._module,
            env=environ,
            cwd=self.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    async def ready(self, *, seconds: float = READY_TIMEOUT_SECONDS) -> None:
        """Return when `/readyz` answers 200.

        Raises:
            LaunchError: with the end of its log, if it ended or was not ready in time.
        """
        response: tuple[int, Any] = (0, None)

        async def is_ready_or_ended() -> bool:
            nonlocal response
            response = await self.probe("/readyz")
            return response[0] == 200 or not self.running

        try:
            await eventually(is_ready_or_ended, seconds=seconds)
        except AssertionError as error:
            raise LaunchError(f"the worker is not ready: {response}\n{self.log_tail()}") from error
        if not self.running:
            raise LaunchError(f"the worker ended while starting:\n{self.log_tail()}")

    async def probe(self, path: str) -> tuple[int, Any]:
        """Status and decoded body of `GET path`; (0, error) if there is no response."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(self.url + path) as response,
            ):
                is_json = "json" in response.content_type
                return response.status, await (response.json() if is_json else response.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, repr(error)

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its process group."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended yet."""
        return self._process is not None and self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and return at once."""
        self._started.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end. Returns the exit code; minus the signal's number if it was killed."""
        code = await self._started.wait()
        if self._guard is not None:
            self._guard.release()
        return code

    async def stop(self, *, seconds: float = STOP_TIMEOUT_SECONDS) -> int:
        """End it as Kubernetes does: SIGTERM, and SIGKILL after `seconds`. Returns the exit code.

        If the caller is cancelled while it waits, the process is killed before.
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
        """End it at once, as a crash would. May be called again. Returns the exit code."""
        if self.running:
            self.signal(signal.SIGKILL)
        return await self.ended()

    def log_tail(self, characters: int = 2_000) -> str:
        """The last characters of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    @property
    def _started(self) -> ChildProcess:
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process


def _inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_SETTING_PREFIXES)
    }
