"""Adopts recordings of other services, so that they get their events as well.

A sweep finds those that are live. The list of ended recordings has those that began and ended
between two sweeps. It is read from the newest back to the cursor of the last sweep.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from worker.domain.command_keys import slots_of_recording
from worker.domain.errors import NotFound
from worker.domain.recording import ENDED, LIVE, Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording
from worker.realtimekit.models import RecordingPage
from worker.store.cursors import Cursor, external_recordings_cursor, followed_cursor
from worker.store.store import Store
from worker.tracking.pagination import PageIterator, oldest_invoked_time

LISTING_DELAY_SECONDS: Final = 300.0
"""A recording may appear on the list this much later than recordings that began after it."""

MAX_LIVE_AGE_SECONDS: Final = 86_400.0
"""Live recordings this much older than the horizon were timed out and possibly pruned. Do not adopt
them again."""

MAX_CHEAP_PAGES: Final = 5
"""Every sweep reads a list of ended recordings with at most this many pages."""

COSTLY_SHARE: Final = 3
"""A longer list is read again when sweeps have made this many times its requests for other
lists."""

MAX_POSTPONED_SECONDS: Final = 120.0
"""It is postponed for at most this long."""

CLOCK_PRECISION: Final = timedelta(seconds=1)
"""How precisely the API's clock is known."""

ApplyPage = Callable[[RecordingPage, datetime], Awaitable[None]]
"""Applies a page that was requested at a time."""


class DiscoveryProgress(msgspec.Struct, frozen=True):
    """The state of discovery during one sweep.

    `horizon`: all recordings invoked before it are known; seconds by the API's clock. None: this is
    the first sweep ever. `deferred`: the times (in seconds) when those recordings were invoked that
    this sweep does not adopt, because an unfinished start may own them.
    """

    horizon: float | None
    deferred: tuple[float, ...] = ()


class ExternalRecordingDiscovery:
    """Adopts one app's recordings of other services.

    For each sweep: `begin`, `adopt_live` with each page, then `catch_up` if it `is_due`.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        *,
        app: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._api = api
        self._app = app
        self._now = now
        self._cursor = followed_cursor(app)
        self._webhook_cursor = external_recordings_cursor(app)
        self._last_pages = 0
        self._requests_since = 0
        self._caught_up_at = 0.0

    async def was_announced_since(self, moment: float) -> bool:
        """Whether a webhook named an unknown recording after `moment`, in seconds."""
        at = await self._store.cursor(self._webhook_cursor)
        return at is not None and at > moment

    async def begin(self) -> DiscoveryProgress:
        """Start a sweep from the stored cursor."""
        cursor = await self._store.cursor(self._cursor)
        return DiscoveryProgress(None if cursor is None else cursor - LISTING_DELAY_SECONDS)

    async def adopt_live(
        self,
        listed: Sequence[RecordingSnapshot],
        progress: DiscoveryProgress,
        asked_at: datetime,
    ) -> DiscoveryProgress:
        """Adopt the unknown recordings of a page of live ones; returns the new progress.

        Recordings older than the horizon are included, up to `MAX_LIVE_AGE_SECONDS`, because an
        earlier sweep may have failed to list or read them.
        """
        horizon = progress.horizon
        not_before = None if horizon is None else horizon - MAX_LIVE_AGE_SECONDS
        # Needed in case the API ignores the requested statuses and lists the whole history.
        live = [snapshot for snapshot in listed if snapshot.status in LIVE]
        return await self._adopt(live, progress, asked_at, not_before=not_before)

    async def is_due(self, progress: DiscoveryProgress, requests: int) -> bool:
        """Whether to read the list of ended recordings. The sweep made `requests` for other lists.

        While thousands end together, that list is long, and shows what the sweeps have found
        already. So it is read more rarely then. Nothing is lost, because the cursor moves only when
        it is read.
        """
        self._requests_since += requests
        if progress.horizon is None or self._last_pages <= MAX_CHEAP_PAGES:
            return True
        if self._requests_since >= COSTLY_SHARE * self._last_pages:
            return True
        if self._now().timestamp() - self._caught_up_at >= MAX_POSTPONED_SECONDS:
            return True
        return await self.was_announced_since(self._caught_up_at)

    async def catch_up(
        self,
        progress: DiscoveryProgress,
        started_at: datetime,
        newest_live: datetime | None,
        is_leader: Callable[[], bool],
        apply_known: ApplyPage,
    ) -> int:
        """Adopt all that ended since the horizon and move the cursor; returns the requests made.

        `started_at` is when the sweep began to list live recordings; `newest_live` is when the
        newest of them was invoked. The first sweep ever only sets the cursor: recordings that ended
        before it get no events.
        """
        horizon = progress.horizon
        if horizon is None:
            await self._set_cursor(self._by_api_clock(started_at) + LISTING_DELAY_SECONDS)
            self._record_catch_up(started_at)
            return 0
        pages = PageIterator(self._api, statuses=sorted(ENDED))
        asked_at = self._now()
        async for page in pages.newest_first():
            await apply_known(page, asked_at)
            progress = await self._adopt(page.recordings, progress, asked_at, not_before=horizon)
            oldest = oldest_invoked_time(page)
            if oldest is not None and oldest.timestamp() < horizon:
                break
            if not is_leader():
                return pages.requests
            asked_at = self._now()
        self._last_pages = pages.requests
        newest = [time.timestamp() for time in (newest_live, pages.newest) if time is not None]
        began = self._by_api_clock(started_at)
        await self._set_cursor(_next_cursor(horizon, began, newest, progress.deferred))
        self._record_catch_up(started_at)
        return pages.requests

    def _record_catch_up(self, started_at: datetime) -> None:
        """Called only at the end: a list that failed half-way is due again with the next sweep."""
        self._caught_up_at, self._requests_since = started_at.timestamp(), 0

    async def _set_cursor(self, at: float) -> None:
        await self._store.set_cursor(Cursor(name=self._cursor, at=at))

    def _by_api_clock(self, moment: datetime) -> float:
        """The time by the API's clock at `moment` of our clock, or slightly earlier."""
        now = self._now()
        api_now = self._api.server_time() or now
        return (api_now - (now - moment) - CLOCK_PRECISION).timestamp()

    async def _adopt(
        self,
        listed: Sequence[RecordingSnapshot],
        progress: DiscoveryProgress,
        asked_at: datetime,
        *,
        not_before: float | None,
    ) -> DiscoveryProgress:
        """Adopt the unknown recordings that were invoked at or after `not_before`.

        A recording that may belong to an unfinished start is deferred: the start claims it, or a
        later sweep adopts it. One with an unknown status is not adopted before it has a known one.
        """
        recent = [
            snapshot
            for snapshot in listed
            if snapshot.unknown_status is None and not _is_before(snapshot, not_before)
        ]
        # In this order: a recording claimed by a start is known once that start has finished.
        slots = [slot for snapshot in recent for slot in slots_of_recording(self._app, snapshot)]
        starting = await self._store.find_starting(slots)
        known = await self._store.find_tracked([snapshot.recording_id for snapshot in recent])
        unknown = [snapshot for snapshot in recent if snapshot.recording_id not in known]
        deferred = [
            snapshot
            for snapshot in unknown
            if starting.keys() & slots_of_recording(self._app, snapshot)
        ]
        external = [snapshot for snapshot in unknown if snapshot not in deferred]
        deferred += await self._apply(external, asked_at)
        return msgspec.structs.replace(
            progress, deferred=progress.deferred + _invoked_times(deferred)
        )

    async def _apply(
        self, external: Sequence[RecordingSnapshot], asked_at: datetime
    ) -> list[RecordingSnapshot]:
        """Adopt these recordings. Returns those that turn out to be of an unfinished start."""
        observations: list[Observation] = []
        deferred: list[RecordingSnapshot] = []
        for snapshot in external:
            observation = await self._observe(snapshot, asked_at)
            if observation is None:
                continue
            if snapshot.meeting_id is None and await self._awaits_start(observation.snapshot):
                deferred.append(snapshot)
            else:
                observations.append(observation)
        if observations:
            structlog.get_logger().info(
                "external_recordings_adopted", app=self._app, recordings=len(observations)
            )
            await self._store.apply_page(observations)
        return deferred

    async def _observe(self, snapshot: RecordingSnapshot, asked_at: datetime) -> Observation | None:
        # A list may not show the kind, and the kind never changes later. It may not show the
        # meeting, and then nothing says whether an unfinished start began the recording.
        if snapshot.kind is None or snapshot.kind_is_guessed or snapshot.meeting_id is None:
            return await self._read(snapshot.recording_id)
        return Observation.by_sweep(snapshot, asked_at, self._now(), self._app)

    async def _awaits_start(self, snapshot: RecordingSnapshot) -> bool:
        """Whether an unfinished start may have begun the recording.

        If the start has ended since the recording was read, the store has its recording.
        """
        return bool(await self._store.find_starting(slots_of_recording(self._app, snapshot)))

    async def _read(self, recording_id: str) -> Observation | None:
        try:
            return await fetch_recording(
                self._api, recording_id, None, app=self._app, observed_by="sweep", now=self._now
            )
        except NotFound:
            return None


def _next_cursor(
    horizon: float, began: float, newest: Sequence[float], deferred: Sequence[float]
) -> float:
    """The time up to which all recordings are known, in seconds by the API's clock.

    Of the recordings invoked after the sweep began, only some were listed, however long the sweep
    took. A cursor in the future would hide the recordings that begin before it.
    """
    known_until = min(max(newest, default=horizon), began, *deferred)
    # Never earlier, because the first horizon separates recordings that get events from older ones.
    return max(known_until, min(horizon, began) + LISTING_DELAY_SECONDS)


def _invoked_times(snapshots: Iterable[RecordingSnapshot]) -> tuple[float, ...]:
    times = (snapshot.invoked_time for snapshot in snapshots)
    return tuple(time.timestamp() for time in times if time is not None)


def _is_before(snapshot: RecordingSnapshot, moment: float | None) -> bool:
    invoked = snapshot.invoked_time
    return moment is not None and invoked is not None and invoked.timestamp() < moment
