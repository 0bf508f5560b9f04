"""Reads the figures of the page *now*, at intervals that cost the database little."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
import structlog

from worker.broker.admin.queue_counts import QueueCounts
from worker.budget.priorities import Tier, quota_left
from worker.cli.status.checks import Check, judge
from worker.cli.status.sources import Facts
from worker.cli.times import iso_time
from worker.console.state import ConsoleState
from worker.console.worker_probe import WorkerProbe
from worker.domain.errors import StoreUnavailable
from worker.observability.probe_client import Readiness
from worker.store.admin.live_now import LiveNow, read_now
from worker.store.admin.overview import BudgetUsage, BudgetWindow

INTERVAL_SECONDS: Final = 2.0
REST_FACTOR: Final = 10
"""After a slow read, the next one waits this many times longer than the read took."""

NOT_READ: Final = "it was not read yet"
WORKER: Final = "worker"
"""The check whether a worker answers at its HTTP server."""

API: Final = "api"


class Snapshots:
    """The figures, read while `watched` is set. `on_snapshot` gets each.

    `queues` returns the counts of the queues, or the reason why there are none. `worker` returns
    the checks that only a worker knows.
    """

    def __init__(
        self,
        state: ConsoleState,
        watched: asyncio.Event,
        *,
        queues: Callable[[], Awaitable[QueueCounts | str]],
        worker: WorkerProbe,
        on_snapshot: Callable[[dict[str, Any]], None],
    ) -> None:
        self._state = state
        self._watched = watched
        self._queues = queues
        self._worker = worker
        self._on_snapshot = on_snapshot
        self._lock = asyncio.Lock()
        self._last: LiveNow | str = NOT_READ
        self._last_at = float("-inf")
        self._took = 0.0

    async def run(self) -> None:
        """Read and report, forever."""
        while True:
            await self._watched.wait()
            self._on_snapshot(await self.latest())
            await asyncio.sleep(max(INTERVAL_SECONDS, REST_FACTOR * self._took))

    async def latest(self) -> dict[str, Any]:
        """The figures, at most `INTERVAL_SECONDS` old, and the checks on them."""
        async with self._lock:  # many browsers that ask at once cost one read
            started = time.monotonic()
            if started - self._last_at > INTERVAL_SECONDS / 2:
                self._last = await self._read()
                self._last_at = time.monotonic()
                self._took = self._last_at - started
            queues, readiness = await asyncio.gather(self._queues(), self._worker.recent())
            last = self._last
            facts = Facts(
                worker_url=self._worker.url,
                readiness=readiness,
                overview=last if isinstance(last, str) else last.overview,
                queues=queues,
            )
            return now_json(last, facts)

    async def _read(self) -> LiveNow | str:
        try:
            return await self._state.read(read_now)
        except StoreUnavailable as error:
            structlog.get_logger().warning("console_state_unavailable", reason=str(error))
            return str(error)


def now_json(now: LiveNow | str, facts: Facts) -> dict[str, Any]:
    """The figures as the page gets them. Times are RFC 3339. A text says why there are none."""
    result: dict[str, Any] = {
        "error": now if isinstance(now, str) else None,
        "checks": checks(facts),
        "queues": None if isinstance(facts.queues, str) else facts.queues,
    }
    return result if isinstance(now, str) else result | _figures(now)


def checks(facts: Facts) -> list[Check]:
    """The checks of `recording-worker status`.

    It is not an error if the console cannot reach a worker. The state shows whether one is alive.
    """
    found = judge(facts).checks
    if isinstance(facts.readiness, Readiness):
        return list(found)
    hint = f"; none answers at {facts.worker_url}: {facts.readiness}"
    return [
        msgspec.structs.replace(check, text=check.text + hint) if check.name == API else check
        for check in found
        if check.name != WORKER
    ]


def _figures(now: LiveNow) -> dict[str, Any]:
    overview = now.overview
    expiry = now.next_expiry
    return {
        "at": iso_time(overview.at),
        "live": overview.recordings,
        "longest": [
            {**msgspec.structs.asdict(recording), "since": iso_time(recording.since)}
            for recording in now.longest
        ],
        "waiting": [
            {
                "waits_for": waits_for,
                "commands": count.commands,
                "oldest_at": iso_time(count.oldest_at),
            }
            for waits_for, count in overview.parked.items()
        ],
        "next_due_at": iso_time(now.next_due_at),
        "unfinished": now.unfinished,
        "timers": [
            {**msgspec.structs.asdict(timer), "stop_at": iso_time(timer.stop_at)}
            for timer in now.timers
        ],
        "budgets": [_budget(usage, overview.at) for usage in overview.budgets],
        "replicas": now.replicas,
        "outbox": {
            **msgspec.structs.asdict(overview.outbox),
            "oldest_at": iso_time(overview.outbox.oldest_at),
        },
        "archive": {
            **msgspec.structs.asdict(now.archive),
            "oldest_at": iso_time(now.archive.oldest_at),
            "first_expiry": iso_time(now.archive.first_expiry),
        },
        "next_expiry": expiry
        and {**msgspec.structs.asdict(expiry), "expires_at": iso_time(expiry.expires_at)},
    }


def _budget(usage: BudgetUsage, now: float) -> dict[str, Any]:
    paused_until = usage.paused_until if usage.paused_until > now else None
    return {
        "account": usage.account,
        "paused_until": iso_time(paused_until),
        "windows": list(_windows(usage.windows)),
    }


def _windows(windows: tuple[BudgetWindow, ...]) -> Iterator[dict[str, Any]]:
    for window in sorted(windows, key=lambda window: -window.seconds):
        used = (window.requests, window.spent, window.background)
        yield {
            "requests": window.requests,
            "seconds": window.seconds,
            "spent": window.spent,
            "for_commands": max(0, quota_left(*used, Tier.COMMAND)),
            "for_reads": max(0, quota_left(*used, Tier.BACKGROUND)),
        }
