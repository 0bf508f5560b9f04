"""What a replica reports to the ledger with its next request."""

from collections.abc import Iterable
from typing import Final

import msgspec

from worker.budget.ledger import TokenRequest, Usage
from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate

FIRST_PAUSE_SECONDS: Final = 5.0
"""The pause if the API throttles without a `Retry-After`. Each further one is twice as long."""

MAX_OWN_PAUSE_SECONDS: Final = 60.0
"""The longest pause of this kind. An answer of the API to any request makes the next one short."""

STOPS_PAUSE_SECONDS: Final = 1.0
"""The pause of stops in that case. The API may answer a stop although it refuses other requests.
"""


class PendingReport:
    """Requests that took long, limits that the API reported, and pauses that it demands.

    While the API throttles every request and asks for no pause, the pauses grow.
    """

    def __init__(self) -> None:
        self.late: list[Usage] = []
        self.pause = self.stops_pause = 0.0
        self._limits: dict[Rate, tuple[ReportedLimit, float]] = {}
        self._next_pause = FIRST_PAUSE_SECONDS
        self._paused_until = 0.0

    def limits(self, now: float) -> tuple[ReportedLimit, ...]:
        """The scarcest report about each rate, with its age at `now`."""
        return tuple(
            msgspec.structs.replace(limit, age=max(now - at, 0.0))
            for limit, at in self._limits.values()
        )

    @property
    def has_pause(self) -> bool:
        """Whether the API stopped all requests."""
        return self.pause > 0 or any(limit.left == 0 for limit, _ in self._limits.values())

    def has_less_than(self, quota: int) -> bool:
        """Whether the API reports less than this quota."""
        return any(
            limit.left is not None and limit.left < quota for limit, _ in self._limits.values()
        )

    def add_limits(self, limits: Iterable[ReportedLimit], now: float) -> None:
        """Add the limits in an API response that arrived at `now`."""
        for limit in limits:
            known = self._limits[limit.rate][0].left if limit.rate in self._limits else None
            if known is None or (limit.left is not None and limit.left <= known):
                self._limits[limit.rate] = limit, now

    def add_pause(self, retry_after: float | None, now: float) -> float:
        """The API throttles, and asks for this pause or for none. Returns the pause in seconds."""
        pause = self._own_pause(now) if retry_after is None else retry_after
        self.pause = max(self.pause, pause)
        stops_pause = STOPS_PAUSE_SECONDS if retry_after is None else retry_after
        self.stops_pause = max(self.stops_pause, stops_pause)
        return pause

    def _own_pause(self, now: float) -> float:
        """The pause if the API asked for none. Requests that were already sent when it began do
        not prolong it."""
        if not now < self._paused_until <= now + MAX_OWN_PAUSE_SECONDS:
            self._paused_until = now + self._next_pause
            self._next_pause = min(2 * self._next_pause, MAX_OWN_PAUSE_SECONDS)
        return self._paused_until - now

    def record_success(self) -> None:
        """The API executed a request, so it does not throttle all requests."""
        self._next_pause = FIRST_PAUSE_SECONDS

    def clear(self) -> None:
        """All of it is in a request to the ledger now."""
        self.late, self._limits, self.pause, self.stops_pause = [], {}, 0.0, 0.0

    def put_back(self, request: TokenRequest) -> None:
        """The request may not have been committed. Its limits are old when the next one is sent."""
        self.late += request.late
        self.pause = max(self.pause, request.paused_for)
        self.stops_pause = max(self.stops_pause, request.stops_paused_for)
