"""Follows recordings by listing what is live.

One list request covers a page of recordings. One that we follow and that is not on the list of
live ones has ended, or moved between two pages, or is not listed yet: it is left to be read by
itself, which an ended one needs anyway for its files. Mostly that is noticed as soon as the page
has been read where it should have been.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import ApiError, StoreUnavailable
from worker.domain.recording import LIVE, Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import give_up_observation
from worker.domain.timeouts import Cutoffs, Timeouts
from worker.domain.transitions import apply_observation
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import RecordingPage
from worker.store.read_schedule import OverdueQuery, ScheduledRead, TrackedRecording
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.list_diff import AbsenceDetector
from worker.tracking.list_health import ListHealth
from worker.tracking.pagination import PER_PAGE, PageIterator
from worker.tracking.sweep_interval import SweepInterval
from worker.tracking.webhook_coverage import WebhookCoverage

TICK_SECONDS: Final = 1.0
LIST_LAG: Final = timedelta(seconds=5)
"""So long after it was first seen a recording need not be listed yet."""


class Sweep:
    """Follows one app's recordings. `others` is None where only our own ones are followed.

    `committed` is told that events wait to be published; `ticks` is a clock in seconds that never
    goes back.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        patience: Timeouts,
        pace: SweepInterval,
        *,
        app: str,
        others: ExternalRecordingDiscovery | None = None,
        outage: CircuitBreaker,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        now: Callable[[], datetime],
        committed: Callable[[], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._api = api
        self._patience = patience
        self._pace = pace
        self._app = app
        self._others = others
        self._outage = outage
        self._metrics = metrics
        self._tracing = tracing
        self._now = now
        self._committed = committed
        self._ticks = ticks
        self._woken = asyncio.Event()
        self._wanted = True
        self._began = 0.0
        self._swept_at = 0.0
        self._pages = 1
        self._last_page = 0
        self._listing = ListHealth(outage, ticks)
        self._roll = AbsenceDetector()
        self._hearsay = WebhookCoverage(store)
        # Requests and events of the present sweep.
        self._asked = self._events = 0

    def swept(self) -> tuple[float, int | None]:
        """When the last sweep began that got through (seconds), and how many pages it took; None
        when the next one is not to be waited for."""
        return self._swept_at, None if self._listing.is_given_up() else self._pages

    def request(self) -> None:
        """Sweep as soon as the budget allows: many are to be read that a list can tell of.

        While a sweep goes on that is not asked for: its next pages may tell. What they did not,
        there is reason to ask for when it is over.
        """
        if not self._wanted:
            self._wanted = True
            self._woken.set()

    async def run(self, leads: Callable[[], bool]) -> None:
        """Sweep for ever. An API or a store that is away is met again at the next interval."""
        while True:
            self._woken.clear()
            if leads():
                await self.when_it_is_time(leads)
            else:
                self._wanted = True  # whoever becomes the leader begins with a sweep
            await wait_until_set(self._woken, min(self._pace.floor, TICK_SECONDS))

    async def when_it_is_time(self, leads: Callable[[], bool]) -> None:
        """Sweep if that is due, and give up what nobody can tell of."""
        try:
            if self._outage.is_open:
                await self._give_up_hopeless()
            if self._listing.may_begin() and await self._is_time():
                await self._counted(leads)
        except StoreUnavailable as error:
            self._warn(error)

    async def _is_time(self) -> bool:
        elapsed = self._ticks() - self._began
        in_doubt = self._hearsay.has_suspects and elapsed >= self._pace.floor
        if in_doubt and await self._hearsay.has_missed():
            self._pace.record_miss()
        if elapsed >= (self._pace.least if self._wanted else self._pace.interval):
            return True
        if self._others is None or elapsed < self._pace.least:
            return False
        return await self._others.was_announced_since(self._swept_at)

    async def _counted(self, leads: Callable[[], bool]) -> None:
        self._began, self._wanted = self._ticks(), True
        failed = False
        attributes = {"recording_worker.app": self._app}
        with self._tracing.span("sweep", "internal", parent={}, attributes=attributes) as span:
            try:
                await self.once(leads)
            except (ApiError, StoreUnavailable) as error:
                failed = True
                self._listing.record_failure(self._began)
                span.set_error(type(error).__name__)
                self._warn(error)
            finally:
                self._wanted = False
        seconds = self._ticks() - self._began
        self._metrics.record_sweep(seconds, failed=failed)
        if not failed:
            self._listing.record_success()
            structlog.get_logger().info(
                "sweep",
                app=self._app,
                requests=self._asked,
                events=self._events,
                seconds=round(seconds, 6),
            )

    def _warn(self, error: ApiError | StoreUnavailable) -> None:
        structlog.get_logger().warning("sweep_failed", app=self._app, reason=str(error))

    async def once(self, leads: Callable[[], bool] = lambda: True) -> None:
        """One sweep: absorb what changed among the live, leave to be read what is not listed.

        Ends before its time when the lead is lost. Raises ApiError and StoreUnavailable.
        """
        asked_at = self._now()
        self._asked = self._events = 0
        live = await self._store.live(self._app)
        try:
            if live or self._others is not None:
                self._asked = await self._sweep_list(live, asked_at, leads)
        finally:
            # Also when nothing can be listed: something has to become of them.
            await self._leave_overdue()
        if not leads():
            return
        self._swept_at, self._pages = asked_at.timestamp(), max(self._asked, 1)
        self._pace.record_sweep(self._asked, told=self._hearsay.any_webhook)
        self._metrics.set_last_sweep(self._app, self._now().timestamp())
        self._hearsay.any_webhook = False

    async def _sweep_list(
        self, live: Mapping[str, float], asked_at: datetime, leads: Callable[[], bool]
    ) -> int:
        horizon = await self._others.begin() if self._others else None
        guess = self._last_page or -(-len(live) // PER_PAGE)
        pages = PageIterator(self._api, statuses=sorted(LIVE), guess=guess)
        async for absent, page_asked_at in self._list(pages, horizon, leads):
            await self._leave([one for one in absent if one in live], page_asked_at, asked_at)
        if not leads():
            return pages.asked
        self._last_page = pages.last
        self._roll.end()
        new = (asked_at - LIST_LAG).timestamp()
        absent = [
            key for key, at in live.items() if at <= new and not self._roll.is_accounted_for(key)
        ]
        await self._leave(absent, asked_at, asked_at)
        if self._others is None:
            return pages.asked
        caught_up = self._others.catch_up(horizon, asked_at, pages.newest, leads)
        return pages.asked + await caught_up

    async def _list(
        self, pages: PageIterator, horizon: float | None, leads: Callable[[], bool]
    ) -> AsyncIterator[tuple[list[str], datetime]]:
        """Take in each page. Yields who is absent by then, and when the page was asked for."""
        self._roll.begin()
        asked_at = self._now()
        async for page in pages.oldest_first():
            known = await self._take(page, asked_at)
            if self._others is not None and len(known) < len(page.recordings):
                await self._others.adopt_live(page.recordings, horizon, asked_at)
            if not leads():
                return
            yield self._roll.add_page([one.recording_id for one in page.recordings]), asked_at
            asked_at = self._now()

    async def _take(
        self, page: RecordingPage, asked_at: datetime
    ) -> Mapping[str, TrackedRecording]:
        """Absorb what is new on a page. Returns those of it that are known."""
        known = await self._store.tracked([one.recording_id for one in page.recordings])
        news = []
        for snapshot in page.recordings:
            if (followed := known.get(snapshot.recording_id)) is None:
                continue
            seen = self._saw(snapshot, asked_at)
            after = apply_observation(followed.recording, seen).after
            self._hearsay.compare(followed, after, asked_at, since=self._swept_at)
            if after != followed.recording or _is_settled(followed, asked_at):
                news.append(seen)
        await self._absorb(news)
        return known

    def _saw(self, snapshot: RecordingSnapshot, asked_at: datetime) -> Observation:
        return Observation(
            snapshot=snapshot,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=self._now(),
            app=self._app,
        )

    async def _absorb(self, seen: list[Observation]) -> None:
        if seen and (events := (await self._store.apply(seen)).events):
            self._events += events
            self._committed()

    # What a list does not settle

    async def _leave(self, absent: list[str], asked_at: datetime, began_at: datetime) -> None:
        """Have those read that were not on what was asked for then, in a sweep that began then."""
        if absent:
            await self._store.schedule_read(ScheduledRead(ids=absent, at=asked_at.timestamp()))
            self._hearsay.suspect(absent, began_at)

    async def _leave_overdue(self) -> None:
        now = self._now().timestamp()
        await self._store.schedule_overdue(self._unmoved(self._patience.overdue_cutoffs(now), now))

    async def _give_up_hopeless(self) -> None:
        """While the API is away: what is too old to be waited for ends all the same."""
        now = self._now()
        hopeless = self._patience.give_up_cutoffs(now.timestamp())
        unheard = await self._store.overdue(self._unmoved(hopeless, now.timestamp()))
        await self._absorb(
            [give_up_observation(one, self._patience, asked_at=now, now=now) for one in unheard]
        )

    def _unmoved(self, since: Cutoffs, now: float) -> OverdueQuery:
        return OverdueQuery(
            app=self._app,
            now=now,
            changed_before=since.changed_before,
            first_seen_before=since.first_seen_before,
        )


def _is_settled(followed: TrackedRecording, asked_at: datetime) -> bool:
    """Whether it was to be read by itself, which the list has made needless."""
    return followed.read_at is not None and followed.read_at <= asked_at.timestamp()
