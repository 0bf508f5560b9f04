"""Asks the API whether it works again, if nothing else does.

A replica without commands makes no request: the leader sweeps only while recordings are live, and
the others do not sweep. So a request that failed would keep `/readyz` at 503 and the circuit
breaker open until the next command arrives, perhaps for hours.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from worker.domain.errors import ApiError, StoreUnavailable
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient

MAX_POLL_INTERVAL_SECONDS: Final = 1.0


class IdleProbe:
    """Probes the API of one app while its last request failed.

    `interval` is the time in seconds from the failure to the probe, and between probes. A probe
    lists the webhooks, which is a small answer and changes nothing.
    """

    def __init__(
        self,
        api: RealtimeKitClient,
        *,
        interval: float,
        breaker: CircuitBreaker,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._interval = interval
        self._breaker = breaker
        self._monotonic = monotonic
        self._failed_at: float | None = None

    async def run(self) -> None:
        """Probe again and again."""
        while True:
            await asyncio.sleep(min(self._interval, MAX_POLL_INTERVAL_SECONDS))
            await self.probe_if_due()

    async def probe_if_due(self) -> None:
        """Make one request if the last one failed and the circuit breaker allows one."""
        if self._api.unavailable_reason is None:
            self._failed_at = None
            return
        now = self._monotonic()
        if self._failed_at is None:
            self._failed_at = now
        if now - self._failed_at >= self._interval and self._breaker.allow_request():
            self._failed_at = now
            with suppress(ApiError, StoreUnavailable):  # the circuit breaker has recorded it
                await self._api.list_webhooks()
