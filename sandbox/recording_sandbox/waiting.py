"""Waits for a fact instead of for time to pass."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, overload

T = TypeVar("T")

MIN_PAUSE_SECONDS = 0.002
MAX_PAUSE_SECONDS = 0.05


class Eventually(Protocol):
    """The signatures of `eventually`."""

    @overload
    async def __call__(
        self,
        fact: Callable[[], Awaitable[T]],
        *,
        seconds: float = ...,
        description: str | None = ...,
    ) -> T: ...
    @overload
    async def __call__(
        self, fact: Callable[[], T], *, seconds: float = ..., description: str | None = ...
    ) -> T: ...


@overload
async def eventually(
    fact: Callable[[], Awaitable[T]], *, seconds: float = ..., description: str | None = ...
) -> T: ...
@overload
async def eventually(
    fact: Callable[[], T], *, seconds: float = ..., description: str | None = ...
) -> T: ...
async def eventually(
    fact: Callable[[], object], *, seconds: float = 30.0, description: str | None = None
) -> object:
    """Evaluate `fact()` repeatedly until it is true, and return its value.

    `fact` may be a coroutine function. An AssertionError in it counts as "not yet", so that a fact
    may be written with asserts. Any other exception is raised at once.

    Raises:
        AssertionError: after `seconds`, with the `description` and the last value or error.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = MIN_PAUSE_SECONDS
    while True:
        try:
            last = fact()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last
        except AssertionError as error:
            last = error
        if loop.time() > deadline:
            name = description or getattr(fact, "__name__", repr(fact))
            raise AssertionError(f"{name}: not within {seconds:g} s; last: {last!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, MAX_PAUSE_SECONDS)
