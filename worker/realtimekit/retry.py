"""Decides when to try a request to the API again."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from worker.domain.errors import (
    DeadlinePassed,
    LeaseLost,
    OverBudget,
    RefusedForNow,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.http_dates import parse_http_date

T = TypeVar("T")

MAX_RETRY_AFTER_SECONDS: Final = 600.0
"""A longer pause is cut to this: one answer must not stop the worker for longer, and one request
every ten minutes is harmless."""

WAITING_IS_NO_USE: Final = (Unauthorized, OverBudget, LeaseLost, DeadlinePassed, RefusedForNow)
"""After these errors another attempt would fail too, or the request has already waited."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class RequestRetry:
    """Repeats a request that was certainly not executed, until it succeeds or the time is over.

    Makes at most `attempts` attempts. The pause between two is drawn evenly from zero to
    `base_seconds` times 2ⁿ, at most `cap_seconds` (full jitter). If the API sent a `Retry-After`,
    the pause is that and a little jitter. If a pause would end later than `total_seconds` after the
    first attempt, the last error is raised at once: the caller must not wait in vain. A running
    attempt is never interrupted.

    Holds no state between calls: one object serves any number of tasks.
    """

    def __init__(
        self,
        attempts: int = 4,
        base_seconds: float = 0.25,
        cap_seconds: float = 5.0,
        total_seconds: float = 20.0,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._attempts = attempts
        self._base = base_seconds
        self._cap = cap_seconds
        self._total = total_seconds
        self._sleep = sleep
        self._now = now
        self._rng = rng or random.Random()

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the first `attempt()` that succeeds, else the error of the last.

        Only `Unavailable` is tried again, except `WAITING_IS_NO_USE`: a short wait does not cure
        these, and before `OverBudget` the request has already waited. `OutcomeUnknown` and
        `Refused` are raised at once.
        """
        deadline = self._now() + self._total
        try:
            return await attempt()
        except Unavailable as error:
            if not is_retryable(error):
                raise
            failed = [error]

        # A request that succeeds at once skips tenacity, which costs a third as much as a request.
        async def once() -> T:
            if failed:
                raise failed.pop()
            return await attempt()

        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception(is_retryable),
            wait=self._pause_after,
            stop=lambda state: self._is_over(state, deadline),
            reraise=True,
        )
        return await retrying(once)

    def _pause_after(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, Unavailable) else None
        if retry_after is not None:
            return retry_after + self._rng.uniform(0, self._base)
        # The exponent is bounded: 2.0 ** 1024 overflows.
        widest = self._base * 2.0 ** min(state.attempt_number - 1, 60)
        return self._rng.uniform(0, min(self._cap, widest))

    def _is_over(self, state: RetryCallState, deadline: float) -> bool:
        if state.attempt_number >= self._attempts:
            return True
        return self._now() + state.upcoming_sleep >= deadline


def is_retryable(error: BaseException) -> bool:
    """Whether the request was certainly not executed, and may succeed after a pause."""
    return isinstance(error, Unavailable) and not isinstance(error, WAITING_IS_NO_USE)


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """The seconds in a `Retry-After` header, at most ten minutes; None when it is not usable.

    Accepts both forms of RFC 9110, section 10.2.3. Seconds may have a fraction here. An HTTP date
    is compared with `now`, the time by the clock of the server that wrote the date.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        # float() of a long run of digits is inf, int() of one is an error.
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    at = parse_http_date(value)
    if at is None:
        return None
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)
