"""The bytes per second that a replica downloads, over all its copies together."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Bandwidth:
    """Delays downloads so that they take at most `bytes_per_second` together.

    Bytes count after they were received: a caller waits before it reads on.
    """

    def __init__(
        self,
        bytes_per_second: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self._now = now
        self._sleep = sleep
        self._free_at = now()

    async def spend(self, count: int) -> None:
        """Wait until `count` bytes that were received are within the rate."""
        self._free_at = max(self._free_at, self._now()) + count * self._seconds_per_byte
        await self._sleep(self._free_at - self._now())
