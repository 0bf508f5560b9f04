"""Whether the loops that must never stand still still turn: what liveness asks.

A loop asks at each turn whether this replica leads, and that is its sign of life. Loops that wait
for the API or its budget are not watched here: they may rightly wait for as long as it is away.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

STUCK_SECONDS: Final = 600.0
"""Longer than anything takes that a dependency can delay: all of that ends by a time-out."""


class Watchdog:
    """Signs of life, each by the name of its loop. `ticks` is a clock that nobody can set."""

    def __init__(
        self, *, seconds: float = STUCK_SECONDS, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._ticks = ticks
        self._turned: dict[str, float] = {}

    def watched(self, loop: str, leads: Callable[[], bool]) -> Callable[[], bool]:
        """`leads`, and whoever asks is the loop of that name, alive."""
        self._turned[loop] = self._ticks()

        def asked() -> bool:
            self._turned[loop] = self._ticks()
            return leads()

        return asked

    def checks(self) -> Mapping[str, Callable[[], str | None]]:
        """For each loop watched by now, why it counts as stuck; None while it turns."""
        return {loop: partial(self._why, loop) for loop in self._turned}

    def _why(self, loop: str) -> str | None:
        still = self._ticks() - self._turned[loop]
        return f"no turn for {still:.0f} s" if still > self._seconds else None
