"""Sandbox time: it may run faster than real time, stand still, or be moved forward by hand."""

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count


def iso(moment: float) -> str:
    """RFC 3339 in UTC with milliseconds, as the API writes its times."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Timer:
    """Something that will happen at `when` (epoch seconds of sandbox time), unless cancelled."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Make sure that it does not happen; harmless when it already has."""
        self.action = None


class Clock:
    """Sandbox time in epoch seconds, and what is due in it.

    `speed` 1 is real time, 60 makes a minute of each second, 0 stands still until `advance`.
    Actions run in the order of their moments, and `now()` inside an action is exactly the moment
    it was set for, however late the machine gets round to it: times are facts of the timeline.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        start: float | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ticks = ticks
        self._base = time.time() if start is None else start
        self._anchor = ticks()
        self._speed = speed
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._moment: float | None = None
        self._changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """Seconds of sandbox time in a real second."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on; 0 stands still. ValueError when negative."""
        if not 0 <= speed < float("inf"):
            raise ValueError("speed must be a number from 0 on")
        self._base, self._anchor = self.now(), self._ticks()
        self._speed = speed
        self._changed.set()

    def now(self) -> float:
        """The moment it is; inside an action, the moment the action was set for."""
        return self._real_now() if self._moment is None else self._moment

    def advance(self, seconds: float) -> None:
        """Move forward and let happen what becomes due on the way. ValueError when negative."""
        if seconds < 0:
            raise ValueError("time only moves forward")
        self._base += seconds
        self.run_due()
        self._changed.set()

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Let `action` happen at `when`, or at the next opportunity when that has passed."""
        timer = Timer(when, action)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if self._heap[0][2] is timer:
            self._changed.set()
        return timer

    def run_due(self) -> None:
        """Let happen whatever is due. Called before every look at the world, so none is stale."""
        if self._moment is not None:
            return
        now = self._real_now()
        try:
            while self._heap and self._heap[0][0] <= now:
                when, _, timer = heapq.heappop(self._heap)
                if timer.action is not None:
                    self._moment = max(when, self._moment or when)
                    timer.action()
        finally:
            self._moment = None

    async def run(self) -> None:
        """Keep the timeline going until cancelled."""
        while True:
            self.run_due()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._real_seconds_to_next()):
                    await self._changed.wait()

    def _real_now(self) -> float:
        return self._base + (self._ticks() - self._anchor) * self._speed

    def _real_seconds_to_next(self) -> float | None:
        if not self._heap or self._speed == 0:
            return None
        return max(0.0, (self._heap[0][0] - self._real_now()) / self._speed)
