"""A stub of the API in a separate process, with its settings and its records."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.contestant_environ import process_environ
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually


class StubApi:
    """A stub of the API in a separate process; see `benchmarks.stub_api`."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._http = http

    async def configure(self, **settings: float) -> None:
        """Set `delay`, `files` or `listed`."""
        async with self._http.post(f"{self.url}/bench", json=settings) as answer:
            answer.raise_for_status()

    async def start_times(self) -> dict[str, list[float]]:
        """Meeting ids, and the times of their start requests, on the monotonic clock."""
        async with self._http.get(f"{self.url}/bench") as answer:
            return msgspec.json.decode(await answer.read(), type=dict[str, list[float]])


@asynccontextmanager
async def stub_api(directory: Path) -> AsyncIterator[StubApi]:
    """A fresh stub."""
    log = directory / "stub.log"
    log.unlink(missing_ok=True)
    process = OwnedProcess(
        [sys.executable, "-m", "benchmarks.stub_api"], environ=process_environ({}), log=log
    )
    try:
        text = await eventually(lambda: log.read_text().strip())
        async with aiohttp.ClientSession() as http:
            yield StubApi(http, f"http://127.0.0.1:{int(text)}")
    finally:
        process.kill()
