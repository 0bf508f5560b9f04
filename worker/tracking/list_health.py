"""What becomes of sweeps while lists fail, though the API may tell of each recording by itself."""

from collections.abc import Callable
from typing import Final

from worker.realtimekit.circuit_breaker import CircuitBreaker

PATIENCE_SECONDS: Final = 60.0
"""So long a list that fails is waited for. Then what it could tell is better read one by one."""

STAND_BACK_SECONDS: Final = 2.0
"""So long a list waits in an outage after a request may be made: who reads looks every second."""


class ListHealth:
    """Records whether sweeps succeed. `ticks` is a clock in seconds that never goes back."""

    def __init__(self, outage: CircuitBreaker, ticks: Callable[[], float]) -> None:
        self._outage = outage
        self._ticks = ticks
        self._failing_since: float | None = None
        self._leave_since: float | None = None

    def record_failure(self, began: float) -> None:
        """A sweep that began then did not get through."""
        if self._failing_since is None:
            self._failing_since = began

    def record_success(self) -> None:
        """A sweep did."""
        self._failing_since = None

    def is_given_up(self) -> bool:
        """Whether lists have failed for so long that nothing is to wait for one."""
        since = self._failing_since
        return since is not None and self._ticks() - since >= PATIENCE_SECONDS

    def may_begin(self) -> bool:
        """Whether a sweep may ask now. In an outage reads go first: if only lists fail, each one
        would prolong it, and they would never have their turn."""
        if not self._outage.is_open or not self._outage.allow_request():
            self._leave_since = None
            return not self._outage.is_open
        if self._leave_since is None:
            self._leave_since = self._ticks()
        return self._ticks() - self._leave_since >= STAND_BACK_SECONDS
