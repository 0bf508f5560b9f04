"""Limits the log lines of a loop that fails again and again, often several times in a second."""

import time
from collections.abc import Callable
from typing import Final

import structlog

INTERVAL_SECONDS: Final = 30.0
MAX_REASONS: Final = 20


class RepeatedWarning:
    """Logs a new reason at once, and a known one every 30 seconds until the loop works again.

    The field `left_out` counts the lines of this reason that were left out since the one before.
    """

    def __init__(self, event: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._now = now
        self._due: dict[str, tuple[float, int]] = {}

    def failed(self, reason: str) -> None:
        """The loop failed: log the reason, or count it."""
        now = self._now()
        due_at, left_out = self._due.get(reason, (0.0, 0))
        if now < due_at:
            self._due[reason] = (due_at, left_out + 1)
            return
        if len(self._due) >= MAX_REASONS:
            self._due.clear()
        structlog.get_logger().warning(self._event, reason=reason, left_out=left_out)
        self._due[reason] = (now + INTERVAL_SECONDS, 0)

    def worked(self) -> None:
        """The loop works. Its next failure is logged at once."""
        self._due.clear()
