"""The thread in which the store's transactions run.

An executor makes two futures, a condition and a task for each call. Each single command pays for
that twice, and it took more CPU than the call itself (docs/adr/0036).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Work = Callable[[], Any]
OnDone = Callable[[Any], None]
"""Called on the loop with the result of the work, or with the exception that it raised."""


class StoreThread:
    """Runs one piece of work after another in a separate thread."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Work, OnDone, asyncio.AbstractEventLoop] | None] = (
            SimpleQueue()
        )
        # A daemon, so that an unclosed store does not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def run(self, work: Work, on_done: OnDone) -> None:
        """Run `work` after all earlier work. Called on the loop."""
        self._waiting.put((work, on_done, asyncio.get_running_loop()))

    def end(self) -> None:
        """Return when all work is done and the thread has ended."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (next_work := self._waiting.get()) is not None:
            _execute(*next_work)
            del next_work  # its requests may be large


def _execute(work: Work, on_done: OnDone, loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - handed to whoever waits for the result
        result = error
    with contextlib.suppress(RuntimeError):  # the loop is closed, so no caller waits
        loop.call_soon_threadsafe(on_done, result)
