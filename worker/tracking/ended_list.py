"""Finds in lists of ended recordings the ends of recordings that the list of live ones lacks.

A GET shows the end of one recording. If hundreds end together, GETs take minutes, and one list
request shows a hundred ends. So if more than a few live recordings are due, this module lists the
ended recordings that were invoked at about the same times.

If a list lacks a recording, this proves nothing. The recording stays due to be read.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from recording_schemas import Status
from worker.domain.errors import ApiError, Refused
from worker.domain.recording import ENDED, LIVE, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient
from worker.realtimekit.models import RecordingPage
from worker.store.read_schedule import UnlistedQuery
from worker.store.store import Store
from worker.tracking.pagination import PageIterator, is_last, oldest_invoked_time
from worker.tracking.shown_files import ShownFiles

MIN_FOUND: Final = 3
"""A page that shows fewer ends than this is poor: reads would not cost more."""

MAX_POOR_PAGES: Final = 2
"""After this many poor pages in a row the other recordings are read."""

DISTRUSTED_SWEEPS: Final = 20
"""After this many sweeps, selection by time is tried again."""

PRECISION: Final = timedelta(seconds=1)
"""How exactly the API may compare times."""


class EndedResult(msgspec.Struct, frozen=True):
    """The requests for these lists, the ends that they showed, and the events of these ends."""

    requests: int = 0
    found: int = 0
    events: int = 0

    def __add__(self, other: "EndedResult") -> "EndedResult":
        return EndedResult(
            self.requests + other.requests, self.found + other.found, self.events + other.events
        )


class EndedList:
    """Lists one app's ended recordings where that replaces many reads.

    For each sweep: `begin`, then `read` whenever reads have become due. `shown_files` gets the
    tracks whose files a list shows.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        *,
        app: str,
        shown_files: ShownFiles,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._api = api
        self._app = app
        self._shown_files = shown_files
        self._now = now
        self._distrusted_sweeps = 0
        self._has_failed = False
        self._looked_for: set[str] = set()

    def begin(self) -> None:
        """Begin a sweep: recordings that the previous lists lacked may be listed now."""
        self._has_failed = False
        self._looked_for.clear()
        self._distrusted_sweeps = max(self._distrusted_sweeps - 1, 0)

    async def read(
        self, is_leader: Callable[[], bool], *, more_than: int, is_sweep_over: bool = False
    ) -> EndedResult:
        """List ended recordings while more than `more_than` live ones are due that a list may show.

        If the API does not select recordings by time, only the newest are listed, when the sweep is
        over. If such a list fails, the recordings stay due, and the sweep continues. Raises
        StoreUnavailable.
        """
        result = EndedResult()
        try:
            while (
                is_leader()
                and not self._has_failed
                and len(wanted := await self._wanted()) > more_than
            ):
                if not self._distrusted_sweeps:
                    result += await self._read_by_time(wanted, is_leader)
                if not self._distrusted_sweeps:
                    self._looked_for.update(recording.recording_id for recording in wanted)
                elif is_sweep_over:
                    return result + await self._read_newest(wanted, is_leader)
                else:
                    return result
        except ApiError as error:
            self._record_failure(error)
            result += EndedResult(requests=1)
        return result

    def _record_failure(self, error: ApiError) -> None:
        """List no more in this sweep, except the newest if the API refused to select by time."""
        structlog.get_logger().warning("ended_list_failed", app=self._app, reason=str(error))
        if isinstance(error, Refused) and not self._distrusted_sweeps:
            self._distrust_times()
        else:
            self._has_failed = True

    async def apply(self, page: RecordingPage, asked_at: datetime) -> EndedResult:
        """Apply the ends on a page that was requested at `asked_at`, in the order of ending."""
        rows = [snapshot for snapshot in page.recordings if _shows_enough(snapshot)]
        known = await self._store.find_tracked([snapshot.recording_id for snapshot in rows])
        ended = [
            snapshot
            for snapshot in sorted(rows, key=_stopped_at)
            if (tracked := known.get(snapshot.recording_id))
            and _is_new(snapshot, tracked.recording)
        ]
        if not ended:
            return EndedResult()
        for snapshot in ended:
            self._shown_files.put(snapshot, known[snapshot.recording_id].recording)
        now = self._now()
        events = await self._store.apply_page(
            [Observation.by_sweep(row, asked_at, now, self._app) for row in ended]
        )
        return EndedResult(0, len(ended), events)

    async def _wanted(self) -> list[Recording]:
        """Live recordings that are due and were not searched for yet, in the order of their
        invocation."""
        query = UnlistedQuery(app=self._app, now=self._now().timestamp())
        return sorted(
            (
                recording
                for recording in await self._store.find_unlisted(query)
                if recording.invoked_time and recording.recording_id not in self._looked_for
            ),
            key=_invoked_at,
        )

    async def _read_by_time(
        self, wanted: Sequence[Recording], is_leader: Callable[[], bool]
    ) -> EndedResult:
        """Read pages of recordings that were invoked at the same times as `wanted`, oldest first.

        Times without any of `wanted` are skipped. A recording that ends meanwhile moves others to
        pages that are still to be read.
        """
        result, poor, number = EndedResult(), 0, 1
        since, until = _invoked_at(wanted[0]), _invoked_at(wanted[-1])
        while poor < MAX_POOR_PAGES and is_leader():
            asked_at = self._now()
            page = await self._api.list_recordings(
                statuses=sorted(ENDED),
                page_no=number,
                per_page=PAGE_SIZE,
                sort_order="ASC",
                since=since - PRECISION,
                until=until + PRECISION,
            )
            applied = await self.apply(page, asked_at)
            result += EndedResult(1, applied.found, applied.events)
            poor = poor + 1 if applied.found < MIN_FOUND else 0
            listed = [row.invoked_time for row in page.recordings if row.invoked_time]
            if any(at < since - 2 * PRECISION or at > until + 2 * PRECISION for at in listed):
                self._distrust_times()
                break
            left = [at for at in map(_invoked_at, wanted) if listed and at >= max(listed)]
            if not left or is_last(page, number):
                break
            is_gap = left[0] - max(listed) > 2 * PRECISION
            since, number = (left[0], 1) if is_gap else (since, number + 1)
        if not result.found:
            self._distrust_times()
        return result

    async def _read_newest(
        self, wanted: Sequence[Recording], is_leader: Callable[[], bool]
    ) -> EndedResult:
        """Read pages of ended recordings, the newest first, back to the oldest of `wanted`."""
        result, poor = EndedResult(), 0
        pages = PageIterator(self._api, statuses=sorted(ENDED))
        asked_at = self._now()
        async for page in pages.newest_first():
            applied = await self.apply(page, asked_at)
            result += applied
            poor = poor + 1 if applied.found < MIN_FOUND else 0
            oldest = oldest_invoked_time(page)
            is_past = oldest is not None and oldest < _invoked_at(wanted[0])
            if is_past or poor == MAX_POOR_PAGES or not is_leader():
                break
            asked_at = self._now()
        return result + EndedResult(pages.requests)

    def _distrust_times(self) -> None:
        """The API does not select recordings by the time when they were invoked."""
        self._distrusted_sweeps = DISTRUSTED_SWEEPS


def _invoked_at(recording: Recording) -> datetime:
    assert recording.invoked_time is not None  # noqa: S101 - those without a time are left out
    return recording.invoked_time


def _is_new(ended: RecordingSnapshot, recording: Recording) -> bool:
    """Whether the end changes the recording. It does not if the worker itself set this status."""
    return recording.status in LIVE or (
        recording.timed_out and ended.status is not recording.status
    )


def _stopped_at(snapshot: RecordingSnapshot) -> float:
    return snapshot.stopped_time.timestamp() if snapshot.stopped_time else 0.0


def _shows_enough(snapshot: RecordingSnapshot) -> bool:
    """Whether a row shows as much as a GET. Only a GET may say why a recording is ERRORED."""
    if snapshot.unknown_status is not None:
        return False
    if snapshot.status is Status.ERRORED:
        return snapshot.error_message is not None
    return snapshot.status is Status.UPLOADED
