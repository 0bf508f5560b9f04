"""The API's rate limits, and the headers that report them."""

import math
import time
from collections import deque
from collections.abc import Callable

from recording_sandbox.model.behaviour import Behaviour


class RateLimiter:
    """Counts requests per token in sliding windows of real time, and blocks after a breach."""

    def __init__(
        self, behaviour: Behaviour, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._behaviour = behaviour
        self._monotonic = monotonic
        self._windows: dict[tuple[int, str], deque[float]] = {}
        self._blocked_until: dict[int, float] = {}
        self.breaches = 0

    def acquire(self, token: int, *, recordings: bool) -> int | None:
        """Count one request. If a limit is used up: for how many seconds all calls are blocked."""
        if not self._behaviour.rate_limits:
            return None
        now = self._monotonic()
        if (remaining := self._blocked_until.get(token, now) - now) > 0:
            return math.ceil(remaining)
        for limit in self._limits(recordings=recordings):
            quota, seconds = _parse(limit)
            if len(self._window(token, limit, now, seconds)) >= quota:
                self.breaches += 1
                self._blocked_until[token] = now + self._behaviour.real_rate_block_seconds
                return math.ceil(self._behaviour.real_rate_block_seconds)
        for limit in self._limits(recordings=recordings):
            self._windows[token, limit].append(now)
        return None

    def headers(self, token: int) -> dict[str, str]:
        """The documented headers. They report the limit that has the smallest share left."""
        if not self._behaviour.rate_headers:
            return {}
        now = self._monotonic()
        states = []
        for limit in self._behaviour.rate_limits:
            quota, seconds = _parse(limit)
            window = self._window(token, limit, now, seconds)
            left = quota - len(window)
            resets_in = math.ceil(window[0] + seconds - now) if window else seconds
            states.append((left / quota, left, resets_in, quota, seconds))
        if not states:
            return {}
        _, left, resets_in, quota, seconds = min(states)
        return {
            "Ratelimit": f'"default";r={left};t={resets_in}',
            "Ratelimit-Policy": f'"default";q={quota};w={seconds}',
        }

    def _limits(self, *, recordings: bool) -> list[str]:
        limits = self._behaviour.rate_limits
        return [limit for limit in limits if recordings or not limit.endswith(":recordings")]

    def _window(self, token: int, limit: str, now: float, seconds: int) -> deque[float]:
        window = self._windows.setdefault((token, limit), deque())
        while window and window[0] <= now - seconds:
            window.popleft()
        return window


def _parse(limit: str) -> tuple[int, int]:
    """`1200/300` or `1000/50:recordings` as quota and seconds."""
    quota, _, seconds = limit.removesuffix(":recordings").partition("/")
    return int(quota), int(seconds)
