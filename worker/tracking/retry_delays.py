"""How long to wait after a request about a recording has failed."""

from typing import Final

FIRST_DELAY_SECONDS: Final = 1.0

MAX_REMEMBERED: Final = 10_000
"""The maximum number of recordings. Above it, those that failed longest ago start with the
shortest delay again."""


class RetryDelays:
    """The delays of recordings whose last request failed. Each failure doubles the next delay.

    If a webhook or a list settles a recording, no request follows. So the number of recordings is
    limited. After a restart all of them start with the shortest delay.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._next: dict[str, float] = {}

    def after_failure(self, recording_id: str, longest: float) -> float:
        """The delay in seconds after one more failure. The next one is twice as long, at most
        `longest`."""
        delay = self._next.pop(recording_id, FIRST_DELAY_SECONDS)
        self._next[recording_id] = min(delay * 2, longest)  # behind those that failed earlier
        if len(self._next) > self._limit:
            del self._next[next(iter(self._next))]
        return delay

    def has_grown_to(self, recording_id: str, longest: float) -> bool:
        """Whether the delay after the next failure would be `longest` or more."""
        return self._next.get(recording_id, 0.0) >= longest

    def forget(self, recording_id: str) -> None:
        """Note that a request succeeded, so the next failure counts as the first one."""
        self._next.pop(recording_id, None)
