"""Notices loops that are stuck, for `/livez`.

A loop checks at each turn whether this replica is the leader. The watchdog counts this check as a
sign of life. Loops that wait for the API or its budget are not watched, because they may wait for
as long as the API is down.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

STUCK_AFTER_SECONDS: Final = 600.0
"""More than any dependency can delay a turn, because every wait for a dependency times out earlier.
"""


class Watchdog:
    """Records when each watched loop last turned. `monotonic` is a clock that cannot be set."""

    def __init__(
        self,
        *,
        stuck_after: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_after = stuck_after
        self._monotonic = monotonic
        self._turned_at: dict[str, float] = {}

    def watch(self, loop: str, is_leader: Callable[[], bool]) -> Callable[[], bool]:
        """Returns `is_leader` wrapped: each call also counts as a turn of the loop."""
        self._turned_at[loop] = self._monotonic()

        def turn() -> bool:
            self._turned_at[loop] = self._monotonic()
            return is_leader()

        return turn

    def checks(self) -> Mapping[str, Callable[[], str | None]]:
        """One check for each loop watched so far: why the loop counts as stuck, or None."""
        return {loop: partial(self._check, loop) for loop in self._turned_at}

    def _check(self, loop: str) -> str | None:
        elapsed = self._monotonic() - self._turned_at[loop]
        return f"no turn for {elapsed:.0f} s" if elapsed > self._stuck_after else None
