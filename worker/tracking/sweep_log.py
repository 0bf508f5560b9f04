"""Log lines of sweeps: one for each sweep that found a change, one a minute for the others."""

from collections.abc import Callable
from typing import Final

import structlog

SUMMARY_INTERVAL_SECONDS: Final = 60.0
NEVER: Final = float("-inf")


class SweepLog:
    """Writes the lines of one app's sweeps. `monotonic` is a clock in seconds.

    A sweep without an event is a debug line. The first one, and one a minute after it, also writes
    an info line, which counts those since the line before.
    """

    def __init__(self, app: str, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._monotonic = monotonic
        self._summed_at = NEVER
        self._sweeps = 0
        self._requests = 0

    def completed(self, *, requests: int, events: int, seconds: float) -> None:
        """Log a sweep with its number of requests and of published events."""
        logger = structlog.get_logger()
        log = logger.info if events else logger.debug
        log(
            "sweep_completed",
            app=self._app,
            requests=requests,
            events=events,
            seconds=round(seconds, 6),
        )
        if not events:
            self._count_quiet(requests)

    def _count_quiet(self, requests: int) -> None:
        self._sweeps += 1
        self._requests += requests
        now = self._monotonic()
        if now - self._summed_at >= SUMMARY_INTERVAL_SECONDS:
            structlog.get_logger().info(
                "sweeps_without_change",
                app=self._app,
                sweeps=self._sweeps,
                requests=self._requests,
            )
            self._summed_at, self._sweeps, self._requests = now, 0, 0
