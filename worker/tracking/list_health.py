"""Decides what sweeps do while lists fail, although the API may still give single recordings."""

from collections.abc import Callable
from typing import Final

from worker.realtimekit.circuit_breaker import CircuitBreaker

GIVE_UP_AFTER_SECONDS: Final = 60.0
"""After lists have failed for this long, recordings are read one by one instead."""

YIELD_TO_READS_SECONDS: Final = 2.0
"""While the breaker is open, reads go first for this long. The refresher checks for due reads
every second."""


class ListHealth:
    """Records whether sweeps succeed. `monotonic` is a clock in seconds that never goes back."""

    def __init__(self, breaker: CircuitBreaker, monotonic: Callable[[], float]) -> None:
        self._breaker = breaker
        self._monotonic = monotonic
        self._failing_since: float | None = None
        self._request_allowed_since: float | None = None

    def record_failure(self, started_at: float) -> None:
        """The sweep that began at `started_at`, by the monotonic clock, failed."""
        if self._failing_since is None:
            self._failing_since = started_at

    def record_success(self) -> None:
        """A sweep completed."""
        self._failing_since = None

    @property
    def is_usable(self) -> bool:
        """Whether a sweep is worth waiting for. False once lists have failed for a minute."""
        since = self._failing_since
        return since is None or self._monotonic() - since < GIVE_UP_AFTER_SECONDS

    def may_begin(self) -> bool:
        """Whether a sweep may begin now.

        While the breaker is open, reads go first. If only lists fail, each failed list would
        prolong the outage, and no read would ever be sent.
        """
        if not self._breaker.is_open or not self._breaker.allow_request():
            self._request_allowed_since = None
            return not self._breaker.is_open
        if self._request_allowed_since is None:
            self._request_allowed_since = self._monotonic()
        return self._monotonic() - self._request_allowed_since >= YIELD_TO_READS_SECONDS
