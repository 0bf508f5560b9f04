"""Reads the state in threads, a few at a time, so that no read blocks the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from worker.store.admin.state_reader import StateReader

T = TypeVar("T")

MAX_READS: Final = 4
"""How many reads run at the same time. Others wait."""


class ConsoleState:
    """The state as the console reads it. `reader` has the time-outs."""

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(MAX_READS, thread_name_prefix="console-read")
        self.unavailable_reason: str | None = None
        """Why the last read failed. None if it worked."""

    async def read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """The result of a query, whose first parameter is a connection.

        Raises StoreUnavailable, also when the read takes too long.
        """
        call = partial(self._reader.read, query, *args, **kwargs)
        try:
            result: T = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except Exception as error:
            self.unavailable_reason = str(error) or type(error).__name__
            raise
        self.unavailable_reason = None
        return result

    def close(self) -> None:
        """Wait for the reads that run, and drop the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._reader.close()
