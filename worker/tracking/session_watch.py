"""Finds the sessions that parked starts wait for. One list of live sessions serves all of an app.

Webhooks report the beginning of most sessions earlier. The list finds those that no webhook
reported, and those that began while a start was about to be parked.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from worker.domain.errors import ApiError, StoreUnavailable
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.store.parking import LiveSessions
from worker.store.store import Store

MAX_PAGES: Final = 100
"""One list has at most this many pages of 100 sessions, the newest first."""

MAX_POLL_INTERVAL_SECONDS: Final = 1.0


class SessionWatch:
    """Watches the live sessions of one app while a start of it waits.

    A list costs one request for each page. `interval` is the shortest time in seconds from one list
    to the next, `rate` the requests per second that lists may use. `now` is in seconds since the
    epoch, `monotonic` never goes back.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        *,
        app: str,
        interval: float,
        rate: float,
        breaker: CircuitBreaker,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._api = api
        self._app = app
        self._interval = interval
        self._rate = rate
        self._breaker = breaker
        self._now = now
        self._monotonic = monotonic
        self._pages = 0
        self._polled_at = float("-inf")

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """List again and again while this replica is the leader."""
        while True:
            if is_leader():
                await self.poll_if_due()
            await asyncio.sleep(min(self._interval, MAX_POLL_INTERVAL_SECONDS))

    async def poll_if_due(self) -> None:
        """List if a start waits, and the interval since the last list has passed."""
        pause = max(self._interval, self._pages / self._rate)
        if self._breaker.is_open or self._monotonic() - self._polled_at < pause:
            return
        try:
            if await self._store.awaits_session(self._app):
                self._polled_at = self._monotonic()
                await self.poll()
        except (ApiError, StoreUnavailable) as error:
            structlog.get_logger().warning("session_poll_failed", app=self._app, reason=str(error))

    async def poll(self) -> int:
        """Read the list once, and make the starts of the listed sessions due; returns how many.

        Raises ApiError and StoreUnavailable.
        """
        found: set[str] = set()
        due = 0
        for number in range(1, MAX_PAGES + 1):
            asked_at = self._now()
            page = await self._api.list_live_sessions(page_no=number)
            self._pages = number
            live = {
                session.meeting_id
                for session in page.sessions
                if session.is_live and session.meeting_id
            }
            if new := live - found:
                sessions = LiveSessions(app=self._app, meeting_ids=new, asked_at=asked_at)
                due += await self._store.make_starts_due(sessions)
            # The last page has no new live session, or the API ignores page numbers.
            if page.is_last or not new:
                break
            found |= new
        return due
