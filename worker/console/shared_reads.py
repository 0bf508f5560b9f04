"""Lets many browsers share an expensive read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReads(Generic[T]):
    """Runs at most one read of each key at a time, for any number of callers.

    A caller that asks while a read runs waits for the next one. That one begins after the question,
    so its result is not outdated, and all waiting callers get it.
    """

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Task[T]] = {}
        self._next: dict[int, asyncio.Task[T]] = {}

    async def get(self, key: int, read: Callable[[], Awaitable[T]]) -> T:
        """The result of `read`, or of a read of this key for another request. Raises its errors."""
        task = self._next.get(key)
        if task is None:
            waits = self._after(self._running.get(key), key, read)
            task = self._next[key] = asyncio.create_task(waits, name=f"console-shared-read-{key}")
        # A browser that leaves ends its request, and not the read of the others.
        return await asyncio.shield(task)

    async def _after(
        self, running: asyncio.Task[T] | None, key: int, read: Callable[[], Awaitable[T]]
    ) -> T:
        if running is not None:
            await asyncio.wait({running})
        task = self._running[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            if self._running.get(key) is task:
                del self._running[key]
