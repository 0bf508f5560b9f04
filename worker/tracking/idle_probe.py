"""Asks the API whether it works again, on a replica that makes no other request.

Only the leading replica sweeps. On another one, a request that failed would otherwise keep
`/readyz` at 503 and the circuit breaker open until the next command arrives there, perhaps for
hours.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from worker.domain.errors import ApiError, StoreUnavailable
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient

MAX_POLL_INTERVAL_SECONDS: Final = 1.0


class IdleProbe:
    """Probes the API of one app while its last request failed. `interval` is in seconds.

    A probe lists the webhooks, which is a small answer and changes nothing.
    """

    def __init__(self, api: RealtimeKitClient, *, interval: float, breaker: CircuitBreaker) -> None:
        self._api = api
        self._interval = interval
        self._breaker = breaker

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Probe again and again while this replica is not the leader."""
        while True:
            await asyncio.sleep(min(self._interval, MAX_POLL_INTERVAL_SECONDS))
            if not is_leader():
                await self.probe_if_due()

    async def probe_if_due(self) -> None:
        """Make one request if the last one failed, and if the circuit breaker allows one."""
        if self._api.unavailable_reason is None or not self._breaker.allow_request():
            return
        with suppress(ApiError, StoreUnavailable):  # the circuit breaker has recorded it
            await self._api.list_webhooks()
