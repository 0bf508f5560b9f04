"""Whether the API is away. While it is, the queue is left alone and one command at a time probes.

Commands that are sure to fail would only use up their attempts, and an API that struggles, or that
has asked for a pause, would be asked all the more.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from worker.domain.errors import ApiError, Refused, Throttled, Unanswered, Unauthorized

FAILURE_THRESHOLD: Final = 5
"""So many requests in a row without an answer of use make an outage."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class CircuitBreaker:
    """Hears of every request to the API (`record`) and tells whether it is away (`is_open`).

    `now` is a clock in seconds that never goes back; `app` is whose API it is, for the log.
    """

    def __init__(self, now: Callable[[], float], *, app: str = "default") -> None:
        self._now = now
        self._app = app
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._next_probe = 0.0
        self._since = 0.0
        self._probing = False
        self._turns = asyncio.Lock()
        self._nobody_waits = False
        self._changed: list[Callable[[], None]] = []
        self.is_open = False
        """True while the API is away."""

    def on_change(self, told: Callable[[], None]) -> None:
        """Have `told` called whenever an outage begins or ends."""
        self._changed.append(told)

    def record(self, error: ApiError | None) -> None:
        """A request ended, with this error or well. A refusal is an answer: the API is there."""
        if error is None or isinstance(error, Refused):
            self._failures, self._pause = 0, FIRST_PAUSE
            self._set(on=False)
            return
        self._failures += 1
        known_to_last = isinstance(error, Throttled | Unauthorized)
        if self.is_open or known_to_last or self._failures >= FAILURE_THRESHOLD:
            self._put_off(error)
            self._set(on=True, reason=str(error))

    def allow_request(self) -> bool:
        """Whether a request may be made now: always, except in the pauses of an outage."""
        return not self.is_open or self._now() >= self._next_probe

    def open_for(self) -> float:
        """For how many seconds the API has been away; 0 when it is there."""
        return self._now() - self._since if self.is_open else 0.0

    def stop_waiting(self) -> None:
        """Let nobody wait for leave any more: the worker is about to end."""
        self._nobody_waits = True

    async def acquire_probe(self, patience: float) -> bool:
        """Wait for leave to ask, one after another; at once when the API is there.

        False when it did not come within `patience` seconds, or after `stop_waiting`.
        """
        if not self.is_open:  # those who waited for the end of an outage keep nobody up
            return True
        try:
            async with asyncio.timeout(patience), self._turns:
                while not self.allow_request():
                    if self._nobody_waits:
                        return False
                    await asyncio.sleep(min(0.1, max(self._next_probe - self._now(), 0.0)))
                if self.is_open:  # this one probes; the next one waits for what it finds out
                    self._next_probe = self._now() + self._pause
                    self._probing = True
        except TimeoutError:
            return False
        return True

    def _put_off(self, error: ApiError) -> None:
        now = self._now()
        asked = (error.retry_after if isinstance(error, Unanswered) else None) or 0.0
        if self.is_open and not self._probing and now < self._next_probe:
            # What was on its way already when the pause began fails as well, however much it is:
            # that must not make the pause longer.
            self._next_probe = max(self._next_probe, now + asked)
            return
        self._probing = False
        self._next_probe = now + max(self._pause, asked)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _set(self, *, on: bool, reason: str | None = None) -> None:
        if self.is_open == on:
            return
        self.is_open, self._since = on, self._now()
        event = "api_circuit_opened" if on else "api_circuit_closed"
        structlog.get_logger().warning(event, app=self._app, reason=reason)
        for told in self._changed:
            told()
