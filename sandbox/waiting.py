"""Waiting for a fact instead of for time to pass."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, overload

T = TypeVar("T")


class Eventually(Protocol):
    """What `eventually` can be called with."""

    @overload
    async def __call__(
        self, fact: Callable[[], Awaitable[T]], *, seconds: float = ..., what: str | None = ...
    ) -> T: ...
    @overload
    async def __call__(
        self, fact: Callable[[], T], *, seconds: float = ..., what: str | None = ...
    ) -> T: ...


@overload
async def eventually(
    fact: Callable[[], Awaitable[T]], *, seconds: float = ..., what: str | None = ...
) -> T: ...
@overload
async def eventually(
    fact: Callable[[], T], *, seconds: float = ..., what: str | None = ...
) -> T: ...
async def eventually(
    fact: Callable[[], object], *, seconds: float = 30.0, what: str | None = None
) -> object:
    """The first true value of `fact()`, asked for again and again, at most for `seconds`.

    `fact` may be a coroutine function. An AssertionError in it counts as "not yet", so that a
    fact may be written with asserts; any other exception is the caller's.

    Raises:
        AssertionError: saying `what` never came true, and how `fact` ended the last time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = 0.002
    while True:
        try:
            last = fact()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last
        except AssertionError as not_yet:
            last = not_yet
        if loop.time() > deadline:
            name = what or getattr(fact, "__name__", repr(fact))
            raise AssertionError(f"{name}: not within {seconds:g} s; last: {last!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.05)
