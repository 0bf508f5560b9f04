"""A few helpers for asyncio."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Final, Self, TypeVar, cast

T = TypeVar("T")

CANCEL_INTERVAL_SECONDS: Final = 1.0


async def wait_until_set(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until `event` is set, for at most `seconds` (None: without a limit).

    Returns whether it is set.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def wait_for_any(*events: asyncio.Event) -> None:
    """Wait until any of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def first_of(*waits: Awaitable[Any], seconds: float | None = None) -> bool:
    """Wait for the first of `waits`. False if none returned within `seconds`."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()


def in_daemon_thread(work: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Run `work` in a thread of its own, for which the process does not wait at its end.

    The event loop has few threads. Work that may hang must not occupy them.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if result.done():  # the caller was cancelled
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(cast("T", value))

    def run() -> None:
        value, failure = None, None
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for the result
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return result


async def in_own_task(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` in a separate task, which is cancelled together with this one.

    Before Python 3.13, a TaskGroup leaves its task marked as cancelled if one of its tasks fails
    while it waits for the last ones to end. Up to Python 3.11.2 at least, the next time-out then
    ends that task as cancelled, and no error is raised. The mark of a separate task ends with it.
    """
    return await asyncio.create_task(work, name=getattr(work, "__qualname__", None))


async def run_loop(loop: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run a loop in a separate task until this one is cancelled.

    Raises RuntimeError if the loop ends as cancelled although nobody cancelled it. A TaskGroup
    ignores such an end, and the worker would continue without the loop.
    """
    task = asyncio.create_task(loop, name=name)
    try:
        await asyncio.wait([task])
    finally:
        await cancel_all([task])
    if task.cancelled():
        raise RuntimeError(f"the loop {name!r} ended as cancelled")
    task.result()


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until all have ended.

    An error that arrives in the same turn of the loop can hide a cancellation. A task that
    therefore continues is cancelled again.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_INTERVAL_SECONDS)


class KeyedLocks:
    """Fair locks by name: tasks get a key in the order in which they asked for it.

    A lock exists only while a task holds it or waits for it.
    """

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    def hold(self, *keys: str) -> "HeldKeys":
        """A context manager that holds all keys.

        The keys are acquired one by one. To avoid deadlocks, every caller names them in the same
        order.
        """
        return HeldKeys(self, keys)

    async def acquire(self, key: str) -> None:
        """Wait for the key. No other task holds it until `release`."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            await lock.acquire()
        except BaseException:
            self._forget_user(key)
            raise

    def release(self, key: str) -> None:
        """Pass the key to the task that has waited longest."""
        self._locks[key].release()
        self._forget_user(key)

    def _forget_user(self, key: str) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._locks[key], self._users[key]


class HeldKeys:
    """Keys held within `async with`. A class, because a generator costs more for each command."""

    def __init__(self, locks: KeyedLocks, keys: tuple[str, ...]) -> None:
        self._locks = locks
        self._keys = keys
        self._acquired = 0

    async def __aenter__(self) -> Self:
        try:
            for key in self._keys:
                await self._locks.acquire(key)
                self._acquired += 1
        except BaseException:
            self._release_acquired()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._release_acquired()

    def _release_acquired(self) -> None:
        for key in reversed(self._keys[: self._acquired]):
            self._locks.release(key)
