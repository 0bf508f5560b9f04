"""Follows recordings by listing what is live.

One list request covers a page of recordings. One that we follow and that is not on the list of
live ones has ended, or moved between two pages, or is not listed yet: it is left to be read by
itself, which an ended one needs anyway for its files.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from recording_schemas import Status
from worker.conclusions import Patience, ended, is_overdue, stalled
from worker.errors import ApiError, StoreUnavailable
from worker.observing import observe
from worker.outage import Outage
from worker.pace import Pace
from worker.paging import PER_PAGE, Pages
from worker.realtimekit import RealtimeKit
from worker.realtimekit.values import Page
from worker.recording import LIVE, Recording, Seen
from worker.snapshot import Snapshot
from worker.store import Followed, Overdue, Reading, Store
from worker.store.following import AT_ONCE
from worker.strangers import Strangers
from worker.telemetry import Metrics
from worker.tracing import OFF, Tracing

TICK_SECONDS: Final = 1.0
LIST_LAG: Final = timedelta(seconds=5)
"""So long after it was first seen a recording need not be listed yet."""

MOST_DOUBTS: Final = 500
"""So many changes are asked after whether webhooks told of them, too."""


class Sweep:
    """Follows one app's recordings. `others` is None where only our own ones are followed.

    `committed` is told that events wait to be published; `ticks` is a clock in seconds that never
    goes back.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKit,
        patience: Patience,
        pace: Pace,
        *,
        app: str,
        others: Strangers | None = None,
        outage: Outage,
        metrics: Metrics,
        tracing: Tracing = OFF,
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
        self._told = False
        # Requests and events of the present sweep.
        self._asked = self._events = 0
        # Changes that were seen here first, with when (seconds) the API was asked.
        self._doubts: dict[str, float] = {}

    def swept(self) -> tuple[float, int]:
        """When the last sweep began that got through (seconds), and how many pages it took."""
        return self._swept_at, self._pages

    def soon(self) -> None:
        """Sweep as soon as the budget allows: many are to be read that a list can tell of."""
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._pace.floor, TICK_SECONDS)):
                    await self._woken.wait()

    async def when_it_is_time(self, leads: Callable[[], bool]) -> None:
        """Sweep if that is due, and give up what nobody can tell of."""
        try:
            if self._outage.on:
                await self._give_up_hopeless()
            if self._outage.may_ask() and await self._is_time():
                await self._counted(leads)
        except StoreUnavailable as error:
            self._warn(error)

    async def _is_time(self) -> bool:
        elapsed = self._ticks() - self._began
        if self._doubts and elapsed >= self._pace.floor:
            await self._settle_doubts()
        if elapsed >= (self._pace.least if self._wanted else self._pace.interval):
            return True
        if self._others is None or elapsed < self._pace.least:
            return False
        return await self._others.heard_of_since(self._swept_at)

    async def _counted(self, leads: Callable[[], bool]) -> None:
        self._began, self._wanted = self._ticks(), False
        failed = False
        facts = {"recording_worker.app": self._app}
        with self._tracing.work("sweep", "internal", parent={}, facts=facts) as span:
            try:
                await self.once(leads)
            except (ApiError, StoreUnavailable) as error:
                failed = True
                span.failed(type(error).__name__)
                self._warn(error)
        seconds = self._ticks() - self._began
        self._metrics.swept(seconds, failed=failed)
        if not failed:
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
        self._pace.swept(self._asked, told=self._told)
        self._metrics.swept_at(self._app, self._now().timestamp())
        self._told = False

    async def _sweep_list(
        self, live: Mapping[str, float], asked_at: datetime, leads: Callable[[], bool]
    ) -> int:
        horizon = await self._others.horizon() if self._others else None
        guess = self._last_page or -(-len(live) // PER_PAGE)
        pages = Pages(self._api, statuses=sorted(LIVE), guess=guess)
        listed = await self._list(pages, horizon, leads)
        if not leads():
            return pages.asked
        self._last_page = pages.last
        await self._leave_unlisted(live, listed, asked_at)
        if self._others is None:
            return pages.asked
        return pages.asked + await self._others.catch_up(horizon, asked_at, leads)

    async def _list(
        self, pages: Pages, horizon: float | None, leads: Callable[[], bool]
    ) -> set[str]:
        listed: set[str] = set()
        asked_at = self._now()
        async for page in pages.oldest_first():
            listed.update(one.recording_id for one in page.recordings)
            known = await self._take(page, asked_at)
            if self._others is not None and len(known) < len(page.recordings):
                await self._others.adopt(page.recordings, horizon, asked_at)
            if not leads():
                break
            asked_at = self._now()
        return listed

    async def _take(self, page: Page, asked_at: datetime) -> Mapping[str, Followed]:
        """Absorb what is new on a page. Returns those of it that are known."""
        known = await self._store.followed([one.recording_id for one in page.recordings])
        news, overdue = [], []
        for snapshot in page.recordings:
            if (followed := known.get(snapshot.recording_id)) is None:
                continue
            seen = self._saw(snapshot, asked_at)
            after = observe(followed.recording, seen).after
            self._compare(followed, after, asked_at)
            if after == followed.recording and is_overdue(after, self._now(), self._patience):
                overdue.append(after.recording_id)
            elif after != followed.recording or _is_settled(followed, asked_at):
                news.append(seen)
        await self._absorb(news)
        if overdue:
            await self._store.read_by(Reading(ids=overdue, at=AT_ONCE))
        return known

    def _saw(self, snapshot: Snapshot, asked_at: datetime) -> Seen:
        return Seen(
            snapshot=snapshot,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=self._now(),
            app=self._app,
        )

    async def _absorb(self, seen: list[Seen]) -> None:
        if seen and (events := (await self._store.absorb(seen)).events):
            self._events += events
            self._committed()

    # What a list does not settle

    async def _leave_unlisted(
        self, live: Mapping[str, float], listed: set[str], asked_at: datetime
    ) -> None:
        new = (asked_at - LIST_LAG).timestamp()
        unlisted = [key for key, seen_at in live.items() if key not in listed and seen_at <= new]
        if unlisted:
            at = asked_at.timestamp()
            await self._store.read_by(Reading(ids=unlisted, at=at))
            self._doubts |= dict.fromkeys(unlisted[:MOST_DOUBTS], at)

    async def _leave_overdue(self) -> None:
        now = self._now().timestamp()
        overdue = Overdue(app=self._app, now=now, changed_before=self._patience.overdue(now))
        await self._store.read_overdue(overdue)

    async def _give_up_hopeless(self) -> None:
        """While the API is away: what is too old to be waited for ends all the same."""
        now = self._now()
        before = self._patience.hopeless(now.timestamp())
        given_up = await self._store.overdue(
            Overdue(app=self._app, now=now.timestamp(), changed_before=before)
        )
        await self._absorb([self._given_up(one, now) for one in given_up])

    def _given_up(self, known: Recording, now: datetime) -> Seen:
        reason = stalled(known, self._patience, unheard=True) if known.status in LIVE else None
        return ended(known, reason, asked_at=now, now=now)

    # Whether webhooks tell everything

    def _compare(self, followed: Followed, after: Recording, asked_at: datetime) -> None:
        """Note what webhooks told, and what they should have told and perhaps still will."""
        self._told = self._told or (followed.told_at or 0.0) >= self._swept_at > 0.0
        moves = (followed.recording.status, after.status)
        if moves[0] is not moves[1] and Status.PAUSED not in moves:
            self._doubts[after.recording_id] = asked_at.timestamp()

    async def _settle_doubts(self) -> None:
        """See whether webhooks have told meanwhile of what was found without them."""
        doubts, self._doubts = self._doubts, {}
        known = await self._store.followed(list(doubts)[:MOST_DOUBTS])
        if any((one.told_at or 0.0) < doubts[key] for key, one in known.items()):
            self._pace.missed()


def _is_settled(followed: Followed, asked_at: datetime) -> bool:
    """Whether it was to be read by itself, which the list has made needless."""
    return followed.read_at is not None and followed.read_at <= asked_at.timestamp()
