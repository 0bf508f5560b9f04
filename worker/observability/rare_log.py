"""Limits log lines about events that outsiders can cause at any rate."""

import time
from collections.abc import Callable
from typing import Final

import structlog

INTERVAL_SECONDS: Final = 1.0


class RareLog:
    """Logs one event at most once in a second. The next line counts those left out before it."""

    def __init__(self, event: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._now = now
        self._next_at = 0.0
        self._left_out = 0

    def info(self, **fields: object) -> None:
        """Log the event with its fields, or count it."""
        now = self._now()
        if now < self._next_at:
            self._left_out += 1
            return
        structlog.get_logger().info(self._event, **fields, left_out=self._left_out)
        self._next_at, self._left_out = now + INTERVAL_SECONDS, 0
