"""Sandbox time. It may run faster than real time, stand still, or be advanced by a test."""

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count


def iso(seconds: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with milliseconds, which is the API's format."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Timer:
    """An action that is due at `when` (epoch seconds of sandbox time), unless cancelled."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Drop the action. Has no effect if it has run already."""
        self.action = None


class Clock:
    """Sandbox time in epoch seconds, and the actions that are due in it.

    Speed 1 is real time, 60 turns a second into a minute, and 0 stands still until `advance`.
    Actions run in the order of their due times. Inside an action `now()` is exactly its due time,
    even if it runs late, so that times do not depend on the load of the machine.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        start: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._base = time.time() if start is None else start
        self._anchor = monotonic()
        self._speed = speed
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._action_time: float | None = None
        self._changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """Seconds of sandbox time in a real second."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on. ValueError if it is negative or infinite."""
        if not 0 <= speed < float("inf"):
            raise ValueError("speed must be a number from 0 on")
        self._base, self._anchor = self.now(), self._monotonic()
        self._speed = speed
        self._changed.set()

    def now(self) -> float:
        """The current time. Inside an action, the action's due time."""
        return self._real_now() if self._action_time is None else self._action_time

    def advance(self, seconds: float) -> None:
        """Move time forward and run the actions that become due. ValueError if negative."""
        if seconds < 0:
            raise ValueError("time only moves forward")
        self._base += seconds
        self.run_due()
        self._changed.set()

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Run `action` at `when`; as soon as possible if that time has passed."""
        timer = Timer(when, action)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if self._heap[0][2] is timer:
            self._changed.set()
        return timer

    def run_due(self) -> None:
        """Run the actions that are due. Call it before each request, so that no state is stale."""
        if self._action_time is not None:
            return
        now = self._real_now()
        try:
            while self._heap and self._heap[0][0] <= now:
                when, _, timer = heapq.heappop(self._heap)
                if timer.action is not None:
                    self._action_time = max(when, self._action_time or when)
                    timer.action()
        finally:
            self._action_time = None

    async def run(self) -> None:
        """Run actions as they become due, until cancelled."""
        while True:
            self.run_due()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._real_seconds_to_next()):
                    await self._changed.wait()

    def _real_now(self) -> float:
        return self._base + (self._monotonic() - self._anchor) * self._speed

    def _real_seconds_to_next(self) -> float | None:
        if not self._heap or self._speed == 0:
            return None
        return max(0.0, (self._heap[0][0] - self._real_now()) / self._speed)
