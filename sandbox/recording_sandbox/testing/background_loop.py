"""An event loop in a thread, for tests with and without their own loop."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

CALL_TIMEOUT_SECONDS: Final = 120.0


class BackgroundLoop:
    """`with BackgroundLoop() as loop:` runs an event loop until the block ends."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._until_stopped()), name="recording-sandbox", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def run(self, coroutine: Coroutine[Any, Any, T], *, seconds: float = CALL_TIMEOUT_SECONDS) -> T:
        """Run `coroutine` on the loop, and wait for its result. TimeoutError after `seconds`."""
        future = asyncio.run_coroutine_threadsafe(_within(coroutine, seconds), self._loop)
        return future.result()

    async def _until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._started.set()
        await self._stopped.wait()


async def _within(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await coroutine
