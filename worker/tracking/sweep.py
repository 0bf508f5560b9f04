"""Sweeps one app's live recordings again and again, and decides when the next sweep begins."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
import structlog

from worker.aio import wait_until_set
from worker.domain.errors import ApiError, StoreUnavailable
from worker.domain.timeout_observations import give_up_observation
from worker.domain.timeouts import Cutoffs, Timeouts
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.store.cursors import Cursor, missed_webhook_cursor, sweep_cursor, webhook_cursor
from worker.store.late_adoption import LateAdoption
from worker.store.read_schedule import OverdueQuery, ScheduledRead
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.ended_list import EndedList
from worker.tracking.list_health import ListHealth
from worker.tracking.live_list import ListResult, LiveList
from worker.tracking.shown_files import ShownFiles
from worker.tracking.sweep_interval import SweepInterval
from worker.tracking.sweep_log import SweepLog
from worker.tracking.webhook_coverage import WebhookCoverage

MAX_POLL_INTERVAL_SECONDS: Final = 1.0


class SweepState(msgspec.Struct, frozen=True, kw_only=True):
    """The last completed sweep: when it began (seconds, 0: never) and how many pages it took.

    `is_usable` is False if the next sweep is not worth waiting for, because lists keep failing.
    """

    started_at: float
    pages: int
    is_usable: bool


class Sweep:
    """Tracks one app's live recordings by listing them.

    `discovery` is None if only our own recordings are tracked. `shown_files` gets the tracks whose
    files a list shows. `monotonic` is a clock in seconds that never goes back.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        timeouts: Timeouts,
        interval: SweepInterval,
        *,
        app: str,
        discovery: ExternalRecordingDiscovery | None = None,
        shown_files: ShownFiles,
        breaker: CircuitBreaker,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._timeouts = timeouts
        self._interval = interval
        self._app = app
        self._discovery = discovery
        self._breaker = breaker
        self._metrics = metrics
        self._tracing = tracing
        self._now = now
        self._monotonic = monotonic
        self._coverage = WebhookCoverage(store)
        self._health = ListHealth(breaker, monotonic)
        self._log = SweepLog(app, monotonic)
        self._list = LiveList(
            store,
            api,
            self._coverage,
            EndedList(store, api, app=app, shown_files=shown_files, now=now),
            app=app,
            discovery=discovery,
            now=now,
        )
        self._wakeup = asyncio.Event()
        self._is_requested = True
        self._is_running = False
        self._began = 0.0  # seconds by `monotonic`
        self._swept_at = 0.0
        self._pages = 1
        self._last_single_read = ""
        self._single_reads_at = 0.0  # seconds by `monotonic`
        self._adopted_at = float("-inf")  # seconds by `monotonic`
        self._adopted_after = ""

    def state(self) -> SweepState:
        """The figures by which the refresher chooses between one sweep and many reads."""
        return SweepState(
            started_at=self._swept_at, pages=self._pages, is_usable=self._health.is_usable
        )

    def request(self) -> None:
        """Sweep as soon as the budget allows, because one list can replace many due reads.

        During a sweep this does nothing, because its next pages may have those recordings. If they
        do not, the caller requests again.
        """
        if not (self._is_requested or self._is_running):
            self._is_requested = True
            self._wakeup.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Sweep again and again. If the API or the store is down, try at the next interval."""
        while True:
            self._wakeup.clear()
            if is_leader():
                await self.sweep_if_due(is_leader)
            else:
                self._is_requested = True  # a new leader begins with a sweep
            await wait_until_set(
                self._wakeup, min(self._interval.base_interval, MAX_POLL_INTERVAL_SECONDS)
            )

    async def sweep_if_due(self, is_leader: Callable[[], bool]) -> None:
        """Sweep if a sweep is due. While the API is down, end recordings that are too old."""
        try:
            if self._breaker.is_open:
                await self._end_unanswered()
            if self._health.may_begin() and await self._is_due():
                await self._sweep_and_report(is_leader)
            if is_leader():
                await self._schedule_single_reads()
                await self._adopt_deferred()
        except StoreUnavailable as error:
            self._log_failure(error)

    async def _is_due(self) -> bool:
        elapsed = self._monotonic() - self._began
        is_suspicious = self._coverage.has_unreported and elapsed >= self._interval.base_interval
        if is_suspicious and await self._coverage.has_missed():
            self._interval.record_miss()
            await self._set_cursor(missed_webhook_cursor(self._app))
        if elapsed >= (
            self._interval.budget_interval if self._is_requested else self._interval.interval
        ):
            return True
        if self._discovery is None or elapsed < self._interval.budget_interval:
            return False
        return await self._discovery.was_announced_since(self._swept_at)

    async def _sweep_and_report(self, is_leader: Callable[[], bool]) -> None:
        self._began, self._is_requested, self._is_running = self._monotonic(), False, True
        result = None
        attributes = {"recording_worker.app": self._app}
        with self._tracing.span("sweep", "internal", parent={}, attributes=attributes) as span:
            try:
                result = await self.sweep(is_leader)
            except (ApiError, StoreUnavailable) as error:
                self._health.record_failure(self._began)
                span.set_error(type(error).__name__)
                self._log_failure(error)
            finally:
                self._is_running = False
        seconds = self._monotonic() - self._began
        self._metrics.record_sweep(seconds, failed=result is None)
        if result is not None:
            self._health.record_success()
            self._log.completed(requests=result.requests, events=result.events, seconds=seconds)

    async def _schedule_single_reads(self) -> None:
        """While lists keep failing, make live recordings due to be read one after the other.

        Their number is that of the requests that sweeps may make in the interval. Otherwise a
        change that no webhook reports would be found only when the recording is overdue, after a
        day.
        """
        elapsed = self._monotonic() - self._single_reads_at
        if self._health.is_usable or elapsed < self._interval.base_interval:
            return
        self._single_reads_at = self._monotonic()
        live = sorted(await self._store.find_live(self._app))
        count = max(int(self._interval.rate * self._interval.base_interval), 1)
        later = [recording_id for recording_id in live if recording_id > self._last_single_read]
        ids = (later or live)[:count]
        self._last_single_read = ids[-1] if ids else ""
        if ids:
            await self._store.schedule_read(ScheduledRead(ids=ids, at=self._now().timestamp()))

    async def _adopt_deferred(self) -> None:
        """Adopt the recordings whose adoption waited for a start that has ended since.

        There are few of them: commands found them while that start might have begun them.
        """
        if self._monotonic() - self._adopted_at < self._interval.base_interval:
            return
        self._adopted_at = self._monotonic()
        self._adopted_after = await self._store.adopt_deferred(
            LateAdoption(app=self._app, now=self._now().timestamp(), after=self._adopted_after)
        )

    def _log_failure(self, error: ApiError | StoreUnavailable) -> None:
        structlog.get_logger().warning("sweep_failed", app=self._app, reason=str(error))

    async def sweep(self, is_leader: Callable[[], bool] = lambda: True) -> ListResult:
        """Apply the list once, then schedule reads of missing and of overdue recordings.

        Ends early if this replica stops being the leader. Raises ApiError and StoreUnavailable.
        """
        started_at = self._now()
        try:
            result = await self._list.read(started_at, is_leader, since=self._swept_at)
        finally:
            # Also if the list fails: overdue recordings must end.
            await self._schedule_overdue()
        if is_leader():
            await self._record(result, started_at)
        return result

    async def _record(self, result: ListResult, started_at: datetime) -> None:
        """Record the sweep here, and in the store for tools outside the worker."""
        any_webhook = self._coverage.take_any_webhook()
        self._swept_at, self._pages = started_at.timestamp(), max(result.requests, 1)
        self._interval.record_sweep(result.requests, any_webhook=any_webhook)
        self._metrics.set_last_sweep(self._app, self._now().timestamp())
        await self._set_cursor(sweep_cursor(self._app))
        if any_webhook:
            await self._set_cursor(webhook_cursor(self._app))

    async def _set_cursor(self, name: str) -> None:
        await self._store.set_cursor(Cursor(name=name, at=self._now().timestamp()))

    async def _schedule_overdue(self) -> None:
        now = self._now().timestamp()
        await self._store.schedule_overdue(self._overdue(self._timeouts.overdue_cutoffs(now), now))

    async def _end_unanswered(self) -> None:
        now = self._now()
        cutoffs = self._timeouts.give_up_cutoffs(now.timestamp())
        recordings = await self._store.find_overdue(self._overdue(cutoffs, now.timestamp()))
        observations = [
            give_up_observation(recording, self._timeouts, asked_at=now, now=now)
            for recording in recordings
        ]
        if observations:
            await self._store.apply(observations)

    def _overdue(self, cutoffs: Cutoffs, now: float) -> OverdueQuery:
        return OverdueQuery(
            app=self._app,
            now=now,
            changed_before=cutoffs.changed_before,
            first_seen_before=cutoffs.first_seen_before,
        )
