"""Spreads the reads of single recordings over time."""

import time


class ReadSpacing:
    """Lets reads begin at least `seconds` after each other. The first begins at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_begin = 0.0

    def take_delay(self) -> float:
        """How many seconds from now the next read is to begin. Each call is for one read."""
        now = time.monotonic()
        begin = max(now, self._next_begin)
        self._next_begin = begin + self._seconds
        return begin - now
