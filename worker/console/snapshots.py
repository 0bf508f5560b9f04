"""Reads the figures of the page *now*, at a pace that costs the database little."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from worker.cli.moments import iso_time
from worker.console.state import ConsoleState
from worker.domain.errors import StoreUnavailable
from worker.store.admin.live_now import LiveNow, read_now

INTERVAL_SECONDS: Final = 2.0
REST_FACTOR: Final = 10
"""After a slow read, the next one waits this many times longer than the read took."""


class Snapshots:
    """The figures, read while `watched` is set. `on_snapshot` gets each."""

    def __init__(
        self,
        state: ConsoleState,
        watched: asyncio.Event,
        *,
        on_snapshot: Callable[[dict[str, Any]], None],
    ) -> None:
        self._state = state
        self._watched = watched
        self._on_snapshot = on_snapshot
        self._lock = asyncio.Lock()
        self._last: dict[str, Any] | None = None
        self._last_at = float("-inf")
        self._took = 0.0

    async def run(self) -> None:
        """Read and report, forever."""
        while True:
            await self._watched.wait()
            self._on_snapshot(await self.latest())
            await asyncio.sleep(max(INTERVAL_SECONDS, REST_FACTOR * self._took))

    async def latest(self) -> dict[str, Any]:
        """The figures, at most `INTERVAL_SECONDS` old."""
        async with self._lock:  # many browsers that ask at once cost one read
            started = time.monotonic()
            if self._last is None or started - self._last_at > INTERVAL_SECONDS / 2:
                self._last = await self._read()
                self._last_at = time.monotonic()
                self._took = self._last_at - started
            return self._last

    async def _read(self) -> dict[str, Any]:
        try:
            return {"error": None, **now_json(await self._state.read(read_now, time.time()))}
        except StoreUnavailable as error:
            structlog.get_logger().warning("console_state_unavailable", reason=str(error))
            return {"error": str(error)}


def now_json(now: LiveNow) -> dict[str, Any]:
    """The figures as the page gets them. Times are RFC 3339."""
    return {
        "at": iso_time(now.at),
        "live": [
            {
                "app": count.app,
                "status": count.status,
                "recordings": count.recordings,
                "oldest_at": iso_time(count.oldest_at),
            }
            for count in now.live
        ],
        "waiting": [
            {
                "waits_for": count.waits_for,
                "commands": count.commands,
                "oldest_at": iso_time(count.oldest_at),
                "next_due_at": iso_time(count.next_due_at),
            }
            for count in now.waiting
        ],
        "unfinished": now.unfinished,
        "timers": [
            {
                "recording_id": timer.recording_id,
                "app": timer.app,
                "meeting_id": timer.meeting_id,
                "stop_at": iso_time(timer.stop_at),
            }
            for timer in now.timers
        ],
        "budgets": [
            {
                "name": budget.name,
                "windows": budget.windows,
                "paused_until": iso_time(budget.paused_until),
            }
            for budget in now.budgets
        ],
        "replicas": [
            {"owner": replica.owner, "until": iso_time(replica.until), "leads": replica.leads}
            for replica in now.replicas
        ],
        "outbox": {
            "events": now.outbox.events,
            "deferred": now.outbox.deferred,
            "set_aside": now.outbox.set_aside,
            "oldest_at": iso_time(now.outbox.oldest_at),
        },
        "last_change_at": iso_time(now.last_change_at),
        "last_webhook_at": iso_time(now.last_webhook_at),
    }
