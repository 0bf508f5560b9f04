"""Reads the list of live recordings once and applies it to the store.

One request returns a page of recordings. If a tracked recording is missing from the list, it has
ended, or moved between two pages, or is not listed yet. It becomes due to be read. If many are
missing, `ended_list` searches for them first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from worker.domain.recording import LIVE, Observation
from worker.domain.transitions import apply_observation
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient
from worker.realtimekit.models import RecordingPage
from worker.store.read_schedule import ScheduledRead, TrackedRecording
from worker.store.store import Store
from worker.tracking.discovery import DiscoveryProgress, ExternalRecordingDiscovery
from worker.tracking.ended_list import EndedList, EndedResult
from worker.tracking.list_diff import AbsenceDetector
from worker.tracking.pagination import PageIterator
from worker.tracking.webhook_coverage import WebhookCoverage

LIST_LAG: Final = timedelta(seconds=5)
"""A recording may be missing from the list for this long after it was first observed."""


MAX_READS_DURING: Final = 32
"""While the list is read, lists of ended recordings are used for more due reads than this."""

MAX_READS_AFTER: Final = 8
"""The same after the list was read. This number of reads takes a few seconds."""


class ListResult(msgspec.Struct, frozen=True):
    """The requests that one reading of the list took, and the events that it caused."""

    requests: int = 0
    events: int = 0


class _Reading(msgspec.Struct, kw_only=True):
    """One reading of the list.

    `live`: when each live recording was first observed, in seconds; 0 if its state has changed
    since then. `since`: when the sweep before this one began, in seconds. `progress` is None
    without discovery.
    """

    pages: PageIterator
    live: Mapping[str, float]
    started_at: datetime
    since: float
    progress: DiscoveryProgress | None
    ended: EndedResult = EndedResult()
    events: int = 0


class LiveList:
    """Reads one app's list. `discovery` is None if only our own recordings are tracked."""

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        coverage: WebhookCoverage,
        ended: EndedList,
        *,
        app: str,
        discovery: ExternalRecordingDiscovery | None,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._api = api
        self._coverage = coverage
        self._ended = ended
        self._app = app
        self._discovery = discovery
        self._now = now
        self._last_page = 0
        self._absences = AbsenceDetector()

    async def read(
        self, started_at: datetime, is_leader: Callable[[], bool], *, since: float
    ) -> ListResult:
        """Apply every page and schedule reads of the recordings that are missing from the list.

        `since` is when the sweep before this one began, in seconds. Ends at the next page if this
        replica stops being the leader. Raises ApiError and StoreUnavailable.
        """
        live = await self._store.find_live(self._app)
        if not live and self._discovery is None:
            return ListResult()
        guess = self._last_page or -(-len(live) // PAGE_SIZE)
        reading = _Reading(
            pages=PageIterator(self._api, statuses=sorted(LIVE), guess=guess),
            live=live,
            started_at=started_at,
            since=since,
            progress=await self._discovery.begin() if self._discovery else None,
        )
        self._ended.begin()
        requests = 0
        if await self._read_pages(reading, is_leader):
            requests = await self._finish(reading, is_leader)
        requests += reading.pages.requests + reading.ended.requests
        return ListResult(requests, reading.events + reading.ended.events)

    async def _read_pages(self, reading: _Reading, is_leader: Callable[[], bool]) -> bool:
        """Apply page after page. Returns False if this replica stopped being the leader."""
        self._absences.begin()
        asked_at = self._now()
        async for page in reading.pages.oldest_first():
            known = await self._apply_page(page, asked_at, reading)
            await self._adopt_unknown(page, known, asked_at, reading)
            if not is_leader():
                return False
            ids = [snapshot.recording_id for snapshot in page.recordings]
            absent = [key for key in self._absences.add_page(ids) if key in reading.live]
            await self._schedule_reads(absent, asked_at, reading.started_at)
            if absent:
                reading.ended += await self._ended.read(is_leader, more_than=MAX_READS_DURING)
            asked_at = self._now()
        return True

    async def _finish(self, reading: _Reading, is_leader: Callable[[], bool]) -> int:
        """Schedule reads of the recordings that no page had, and adopt those that ended.

        Returns how many more requests were made.
        """
        self._last_page = reading.pages.last
        self._absences.end()
        started_at = reading.started_at
        await self._schedule_reads(self._absent(reading), started_at, started_at)
        reading.ended += await self._ended.read(
            is_leader, more_than=MAX_READS_AFTER, is_sweep_over=True
        )
        if self._discovery is None or reading.progress is None:
            return 0
        requests = reading.pages.requests + reading.ended.requests
        if not await self._discovery.is_due(reading.progress, requests):
            return 0

        async def apply_ended(page: RecordingPage, asked_at: datetime) -> None:
            reading.ended += await self._ended.apply(page, asked_at)

        return await self._discovery.catch_up(
            reading.progress, started_at, reading.pages.newest, is_leader, apply_ended
        )

    async def _apply_page(
        self, page: RecordingPage, asked_at: datetime, reading: _Reading
    ) -> Mapping[str, TrackedRecording]:
        """Apply the changes on a page. Returns its recordings that are already tracked."""
        known = await self._store.find_tracked(
            [snapshot.recording_id for snapshot in page.recordings]
        )
        changes = []
        for snapshot in page.recordings:
            if (tracked := known.get(snapshot.recording_id)) is None:
                continue
            observation = Observation.by_sweep(snapshot, asked_at, self._now(), self._app)
            after = apply_observation(tracked.recording, observation).after
            self._coverage.compare(tracked, after, asked_at, since=reading.since)
            if after != tracked.recording or _was_due(tracked, asked_at):
                changes.append(observation)
        reading.events += await self._store.apply_page(changes)
        return known

    async def _adopt_unknown(
        self,
        page: RecordingPage,
        known: Mapping[str, TrackedRecording],
        asked_at: datetime,
        reading: _Reading,
    ) -> None:
        if self._discovery is None or reading.progress is None:
            return
        if len(known) < len(page.recordings):
            reading.progress = await self._discovery.adopt_live(
                page.recordings, reading.progress, asked_at
            )

    def _absent(self, reading: _Reading) -> list[str]:
        """The live recordings that no page had, except those that are too new to be listed."""
        newest = (reading.started_at - LIST_LAG).timestamp()
        return [
            recording_id
            for recording_id, first_seen_at in reading.live.items()
            if first_seen_at <= newest and not self._absences.is_accounted_for(recording_id)
        ]

    async def _schedule_reads(
        self, absent: Sequence[str], asked_at: datetime, started_at: datetime
    ) -> None:
        """Schedule reads of recordings that were missing from a list requested at `asked_at`."""
        if absent:
            await self._store.schedule_read(ScheduledRead(ids=absent, at=asked_at.timestamp()))
            self._coverage.add_unreported(absent, started_at)


def _was_due(tracked: TrackedRecording, asked_at: datetime) -> bool:
    """Whether a read of a live recording was due. The list makes it unnecessary.

    An ended recording is read for its files, which the list does not show.
    """
    is_live = tracked.recording.status in LIVE
    return is_live and tracked.read_at is not None and tracked.read_at <= asked_at.timestamp()
