"""Helpers for asyncio: what ends a loop, and what does not."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from worker.aio import in_own_task, run_loop, wait_until_set


class EndlessWork:
    """Runs until it is cancelled. Its end takes a turn of the loop."""

    def __init__(self) -> None:
        self._began = asyncio.Event()
        self.has_ended = False

    async def run(self) -> None:
        self._began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.has_ended = True

    async def cancel(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Await `waiting` in a task, and cancel this task when the work has begun."""
        task = asyncio.create_task(waiting)
        await self._began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())


async def test_a_group_that_failed_in_its_own_task_leaves_this_one_unmarked() -> None:
    with pytest.raises(ExceptionGroup):
        await in_own_task(fail_in_a_group())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert not await wait_until_set(asyncio.Event(), 0.001)


async def test_work_in_its_own_task_is_cancelled_with_the_task_that_waits_for_it() -> None:
    work = EndlessWork()
    await work.cancel(in_own_task(work.run()))
    assert work.has_ended


async def test_a_loop_that_ends_as_cancelled_by_itself_is_an_error() -> None:
    async def loop() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="sweep"):
        await run_loop(loop(), name="sweep")


async def test_an_error_of_a_loop_is_raised_unchanged() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        await run_loop(fail(), name="sweep")


async def test_a_loop_that_is_cancelled_ends_before_the_task_that_runs_it() -> None:
    loop = EndlessWork()
    await loop.cancel(run_loop(loop.run(), name="sweep"))
    assert loop.has_ended
