"""The circuit breaker of one app's API: closed, open, half-open.

While the API does not answer, commands would only use up their attempts. An overloaded API, or one
that asked for a pause, would get even more requests.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from worker.domain.errors import (
    ApiError,
    Refused,
    RefusedForNow,
    Throttled,
    Unanswered,
    Unauthorized,
)
from worker.realtimekit.setting_hints import with_setting_hint

FAILURE_THRESHOLD: Final = 5
"""This many failed requests in a row open the circuit."""

MIN_OPEN_SECONDS: Final = 1.0
"""The first pause before a probe. Each probe that fails doubles it."""

MAX_OPEN_SECONDS: Final = 30.0
"""The longest pause before a probe, unless the API asks for a longer one."""

_POLL_SECONDS: Final = 0.1

_API_WIDE: Final = (Throttled, Unauthorized)
"""After these errors, every other request would fail as well."""


class CircuitBreaker:
    """Decides whether requests may be sent, from the results of all requests so far (`record`).

    - **Closed** (`is_open` is False): requests are sent. The circuit opens after
      `FAILURE_THRESHOLD` failures in a row, or at once when the API throttles or does not accept
      the token, because the next request would fail in the same way.
    - **Open**: no request is sent until a pause is over. The pause is `MIN_OPEN_SECONDS`, twice as
      long after each failed probe, at most `MAX_OPEN_SECONDS`; never shorter than the API's
      `Retry-After`.
    - **Half-open**, when the pause is over: `acquire_probe` lets one request through, and the next
      one after another pause, or at once if `return_probe` says that none was sent. Any answer of
      the API, also a refusal, closes the circuit; any failure opens it again.

    Callers of `acquire_probe` (commands) have a pause of their own, which only their failed probes
    double. One kind of read may fail for hours while the API executes commands. While the API
    throttles or does not accept the token, they wait as long as all others.

    Urgent callers (stops) do not wait for that pause. One of them is let through every
    `MIN_OPEN_SECONDS`, except while the API itself asked for a pause.

    `is_open` is True in both the open and the half-open state. `now` is a monotonic clock in
    seconds. `app` is the name of the app, for the log.
    """

    def __init__(self, now: Callable[[], float], *, app: str = "default") -> None:
        self._now = now
        self._app = app
        self._failures = 0
        self._pause = MIN_OPEN_SECONDS
        self._half_open_at = 0.0
        self._command_pause = MIN_OPEN_SECONDS
        self._command_at = 0.0
        self._opened_at = 0.0
        self._probe_sent = False
        self._probe_lock = asyncio.Lock()
        self._urgent_at = 0.0
        self._urgent_probe_sent = False
        self._urgent_lock = asyncio.Lock()
        self._stopped = False
        self._callbacks: list[Callable[[], None]] = []
        self.is_open = False
        """True while the circuit is open or half-open."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the circuit opens or closes."""
        self._callbacks.append(callback)

    def record(self, error: ApiError | None) -> None:
        """Record that a request ended, with `error` or with success.

        A refusal counts as success, because the API answered. It concerns that request alone.
        """
        if error is None or isinstance(error, Refused | RefusedForNow):
            self._failures = 0
            self._pause = self._command_pause = MIN_OPEN_SECONDS
            if self.is_open:
                self._set_open(is_open=False)
            return
        self._failures += 1
        if self.is_open or isinstance(error, _API_WIDE) or self._failures >= FAILURE_THRESHOLD:
            self._start_pause(error)
            if not self.is_open:
                self._set_open(is_open=True, reason=with_setting_hint(error))

    def allow_request(self) -> bool:
        """Whether a request may be sent now: always, except while the circuit is open."""
        return not self.is_open or self._now() >= self._half_open_at

    def open_for(self) -> float:
        """For how many seconds the circuit has not been closed; 0 while it is closed."""
        return self._now() - self._opened_at if self.is_open else 0.0

    def stop_waiting(self) -> None:
        """Make every `acquire_probe` return False soon, because the worker is about to end."""
        self._stopped = True

    async def acquire_probe(self, max_wait: float, *, urgent: bool = False) -> bool:
        """Wait until a request may be sent. Returns at once while the circuit is closed.

        Callers wait in order, for one probe each. Urgent callers have a separate queue. Returns
        False when no probe was due within `max_wait` seconds, or after `stop_waiting`.
        """
        # Callers that queued for a probe before the circuit closed are not waited for.
        if not self.is_open:
            return True
        try:
            async with asyncio.timeout(max_wait):
                return await (self._wait_for_urgent_probe() if urgent else self._wait_for_probe())
        except TimeoutError:
            return False

    def return_probe(self, *, urgent: bool = False) -> None:
        """Let the next caller probe at once, if no request failed since the last probe.

        To be called after each `acquire_probe` that returned True while the circuit was open. Its
        caller may have made no request, because its command had ended before. The next one must not
        wait for a pause then.
        """
        if urgent and self._urgent_probe_sent:
            self._urgent_probe_sent, self._urgent_at = False, self._now()
        elif not urgent and self._probe_sent:
            self._probe_sent, self._half_open_at = False, self._now()
            self._command_at = self._half_open_at

    async def _wait_for_probe(self) -> bool:
        async with self._probe_lock:
            if not await self._wait_until(lambda: self._command_at):
                return False
            if self.is_open:  # half-open: all others wait for the result of this probe
                self._command_at = self._now() + self._command_pause
                self._half_open_at = max(self._half_open_at, self._command_at)
                self._probe_sent = True
        return True

    async def _wait_for_urgent_probe(self) -> bool:
        async with self._urgent_lock:
            if not await self._wait_until(lambda: self._urgent_at):
                return False
            self._urgent_at = max(self._urgent_at, self._now() + MIN_OPEN_SECONDS)
            self._urgent_probe_sent = True
        return True

    async def _wait_until(self, due: Callable[[], float]) -> bool:
        """Wait until the circuit is closed or a time has come. False after `stop_waiting`."""
        while self.is_open and self._now() < due():
            if self._stopped:
                return False
            await asyncio.sleep(min(_POLL_SECONDS, max(due() - self._now(), 0.0)))
        return True

    def _start_pause(self, error: ApiError) -> None:
        now = self._now()
        retry_after = (error.retry_after if isinstance(error, Unanswered) else None) or 0.0
        self._urgent_at = max(self._urgent_at, now + max(MIN_OPEN_SECONDS, retry_after))
        self._urgent_probe_sent = False
        if self.is_open and not self._probe_sent and now < self._half_open_at:
            # Requests that were already sent when the circuit opened fail as well. Regardless of
            # their number, they must not double the pause.
            self._half_open_at = max(self._half_open_at, now + retry_after)
            self._command_at = max(self._command_at, now + retry_after)
            return
        if self._probe_sent or not self.is_open:
            self._command_at = now + max(self._command_pause, retry_after)
            self._command_pause = min(self._command_pause * 2, MAX_OPEN_SECONDS)
        self._probe_sent = False
        self._half_open_at = now + max(self._pause, retry_after)
        self._pause = min(self._pause * 2, MAX_OPEN_SECONDS)
        earliest = self._half_open_at if isinstance(error, _API_WIDE) else now + retry_after
        self._command_at = max(self._command_at, earliest)

    def _set_open(self, *, is_open: bool, reason: str | None = None) -> None:
        self.is_open, self._opened_at = is_open, self._now()
        event = "api_circuit_opened" if is_open else "api_circuit_closed"
        structlog.get_logger().warning(event, app=self._app, reason=reason)
        for callback in self._callbacks:
            callback()
