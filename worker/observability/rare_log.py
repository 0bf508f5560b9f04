"""Limits log lines about events that clients can cause at any rate."""

import time
from typing import Final

import structlog

INTERVAL_SECONDS: Final = 1.0


class RareLog:
    """Logs one event at most once in a second. The next line counts those left out before it."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._next_at = 0.0
        self._left_out = 0

    def info(self, **fields: object) -> None:
        """Log the event with its fields, or count it."""
        now = time.monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        structlog.get_logger().info(self._event, **fields, left_out=self._left_out)
        self._next_at, self._left_out = now + INTERVAL_SECONDS, 0
