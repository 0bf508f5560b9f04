"""Asks a worker for its checks: only a worker knows whether its circuit to the API is open."""

import asyncio
import time
from typing import Final

from worker.observability.probe_client import ProbeFailed, Readiness, fetch_readiness

MAX_AGE_SECONDS: Final = 2.0
TIMEOUT_SECONDS: Final = 1.0
"""How long a step of one request may take, and how long the page waits for the answer."""

NO_ANSWER: Final = f"no answer within {TIMEOUT_SECONDS:g} s"


class WorkerProbe:
    """The checks of the worker at `url`. At most one request runs at a time, on a thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._asking: asyncio.Task[Readiness | str] | None = None
        self._asked_at = float("-inf")

    async def recent(self) -> Readiness | str:
        """The checks, a few seconds old at most, or why there are none."""
        is_old = time.monotonic() - self._asked_at > MAX_AGE_SECONDS
        if self._asking is None or (self._asking.done() and is_old):
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask(), name="console-worker-probe")
        done, _ = await asyncio.wait({self._asking}, timeout=TIMEOUT_SECONDS)
        return self._asking.result() if done else NO_ANSWER

    async def _ask(self) -> Readiness | str:
        try:
            return await asyncio.to_thread(fetch_readiness, self.url, timeout=TIMEOUT_SECONDS)
        except ProbeFailed as error:
            return str(error)
