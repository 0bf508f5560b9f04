import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from worker.store.database.store_thread import StoreThread


async def run_all(thread: StoreThread, *work: Callable[[], Any]) -> list[Any]:
    done: asyncio.Queue[Any] = asyncio.Queue()
    for action in work:
        thread.run(action, done.put_nowait)
    return [await done.get() for _ in work]


async def test_work_runs_in_its_order_in_one_other_thread() -> None:
    thread = StoreThread()
    ran: list[tuple[int, int]] = []

    def note(number: int) -> None:
        ran.append((number, threading.get_ident()))

    await run_all(thread, *(partial(note, number) for number in range(50)))
    thread.end()
    assert [number for number, _ in ran] == list(range(50))
    (ident,) = {ident for _, ident in ran}
    assert ident != threading.get_ident()


async def test_the_result_of_work_that_fails_is_its_error_and_the_next_work_runs() -> None:
    def fail() -> None:
        raise ValueError("broken")

    thread = StoreThread()
    error, result = await run_all(thread, fail, lambda: "result")
    thread.end()
    assert isinstance(error, ValueError)
    assert result == "result"


async def test_end_waits_for_the_work_that_was_handed_over() -> None:
    may_go_on = threading.Event()
    finished: list[bool] = []
    thread = StoreThread()
    thread.run(may_go_on.wait, lambda _: None)
    thread.run(lambda: finished.append(True), lambda _: None)
    threading.Thread(target=may_go_on.set).start()
    thread.end()
    assert finished == [True]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_outlives_its_loop_does_not_end_the_thread() -> None:
    may_go_on = threading.Event()

    async def hand_over() -> StoreThread:
        thread = StoreThread()
        thread.run(may_go_on.wait, lambda _: None)
        return thread

    thread = asyncio.run(hand_over())
    may_go_on.set()
    asyncio.run(run_all(thread, lambda: None))
    thread.end()
