"""Reads the recordings that are due one by one, because a list does not show enough.

Three kinds are due: uploaded ones, because of their files; those that a sweep did not find on the
list; and those whose webhook only a request to the API can confirm. The store holds when each is
due, so a restarted worker or another leader continues where this one stopped.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from recording_schemas import Status
from worker.aio import in_own_task, wait_until_set
from worker.domain.errors import ApiError, StoreUnavailable
from worker.domain.read_policy import read_again_at
from worker.domain.recording import Observation, Recording
from worker.domain.timeouts import Timeouts
from worker.domain.transitions import apply_observation
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.store.due_reads import DueQuery
from worker.store.read_schedule import ScheduledRead
from worker.store.store import Store
from worker.tracking.read_spacing import ReadSpacing
from worker.tracking.recording_reader import RecordingReader
from worker.tracking.retry_delays import RetryDelays
from worker.tracking.shown_files import ShownFiles
from worker.tracking.sweep import SweepState

MAX_CONCURRENT_READS: Final = 8
UPLOAD_READS: Final = 4
"""Uploads get at most this many of the concurrent reads, because hundreds of others may be
overdue."""

UPLOAD_SPACING_SECONDS: Final = 0.02
OTHER_SPACING_SECONDS: Final = 0.05
"""The average intervals between the beginnings of two reads: of uploaded recordings, whose files
somebody waits for, and of others. After a sweep hundreds may be due at once. Each occupies the
event loop, the store and the database for a moment, and commands need all three. The API permits
far fewer than 20 requests a second."""

OTHER_GROUP: Final = 4
"""So many reads of others begin together. Single ones take twice the CPU. Groups of eight occupied
the event loop for so long that the slowest commands waited noticeably longer. Reads of files take
longest, and begin one by one."""

POLL_INTERVAL_SECONDS: Final = 1.0
"""The refresher checks for due reads at least this often, because a postponed read causes no
notification."""

MAX_RETRY_DELAY_SECONDS: Final = 300.0
"""The longest pause between two reads of a recording that fail although the API is up."""


class Refresher:
    """Reads one app's recordings that are due.

    If more live recordings became due since the last sweep than that sweep took pages, one sweep is
    cheaper. `sweep_state` has these figures, and `request_sweep` requests the sweep.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        timeouts: Timeouts,
        *,
        app: str,
        breaker: CircuitBreaker,
        now: Callable[[], datetime],
        sweep_state: Callable[[], SweepState],
        request_sweep: Callable[[], None],
        shown_files: ShownFiles,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._store = store
        self._reader = RecordingReader(api, timeouts, shown_files, app=app, now=now)
        self._shown_files = shown_files
        self._timeouts = timeouts
        self._app = app
        self._breaker = breaker
        self._now = now
        self._sweep_state = sweep_state
        self._request_sweep = request_sweep
        self._tracing = tracing
        self._wakeup = asyncio.Event()
        self._in_progress: dict[str, bool] = {}  # the values: whether files are awaited
        self._retry_delays = RetryDelays()
        self._upload_spacing = ReadSpacing(UPLOAD_SPACING_SECONDS, group=1)
        self._other_spacing = ReadSpacing(OTHER_SPACING_SECONDS, group=OTHER_GROUP)

    def wake(self) -> None:
        """Check for due recordings now, because one became due or a read ended."""
        self._wakeup.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Read again and again. While the store is down, try every second."""
        while True:
            self._wakeup.clear()
            if not is_leader():  # the leader reads these recordings, and no read takes them here
                self._shown_files.clear()
            try:
                await in_own_task(self.read_due(is_leader))
            except* StoreUnavailable as errors:
                reason = str(errors.exceptions[0])
                structlog.get_logger().warning("refresh_failed", app=self._app, reason=reason)
                self._wakeup.clear()  # else the failed reads, which set it, would repeat at once
            await self._wait_for_wakeup()

    async def read_due(self, is_leader: Callable[[], bool] = lambda: True) -> None:
        """Read all recordings that are due now or become due meanwhile, a few concurrently.

        A slow read does not delay the others. Raises StoreUnavailable in an ExceptionGroup.
        """
        try:
            async with asyncio.TaskGroup() as reads:
                while is_leader():
                    self._wakeup.clear()
                    due = await self._find_due()
                    self._start_reads(due, reads)
                    if due:
                        continue
                    if not (self._in_progress or self._wakeup.is_set()):
                        return
                    await self._wait_for_wakeup()
        finally:
            self._in_progress.clear()  # a task that was cancelled before it began is still in it

    async def _wait_for_wakeup(self) -> None:
        await wait_until_set(self._wakeup, POLL_INTERVAL_SECONDS)

    async def _find_due(self) -> tuple[Recording, ...]:
        limit = MAX_CONCURRENT_READS - len(self._in_progress)
        if not limit or not self._breaker.allow_request():
            return ()
        uploads = sum(self._in_progress.values())
        sweep = self._sweep_state()
        due = await self._store.find_due_reads(
            DueQuery(
                app=self._app,
                now=self._now().timestamp(),
                swept_at=sweep.started_at,
                max_single_reads=sweep.pages if sweep.is_usable else None,
                limit=limit,
                upload_limit=max(UPLOAD_READS - uploads, 0),
                exclude=tuple(self._in_progress),
            )
        )
        if due.needs_sweep:
            self._request_sweep()
        return due.reads

    def _start_reads(self, due: Sequence[Recording], reads: asyncio.TaskGroup) -> None:
        for recording in due:
            is_upload = recording.is_open and recording.status is Status.UPLOADED
            self._in_progress[recording.recording_id] = is_upload
            spacing = self._upload_spacing if is_upload else self._other_spacing
            reads.create_task(
                self._refresh(recording, begins_in=spacing.take_delay()),
                name=f"read {recording.recording_id}",
            )

    async def _refresh(self, recording: Recording, *, begins_in: float) -> None:
        try:
            await asyncio.sleep(begins_in)
            # The breaker may have opened since the recording was found due.
            if self._breaker.allow_request():
                with self._tracing.recording_span(
                    "read recording", recording.recording_id, recording.trace
                ):
                    await self._read_and_apply(recording)
        finally:
            self._in_progress.pop(recording.recording_id)
            # Not after each read, so that one query finds several recordings.
            if len(self._in_progress) <= MAX_CONCURRENT_READS // 2:
                self.wake()

    async def _read_and_apply(self, recording: Recording) -> None:
        recording_id, asked_at = recording.recording_id, self._now()
        observation: Observation | None
        try:
            observation = await self._reader.read(recording, asked_at)
        except ApiError as error:
            structlog.get_logger().warning(
                "recording_read_failed", recording_id=recording_id, reason=str(error)
            )
            is_last_try = self._retry_delays.has_grown_to(recording_id, MAX_RETRY_DELAY_SECONDS)
            observation = self._reader.observe_failed_read(
                recording, asked_at, is_last_try=is_last_try
            )
            if observation is None:
                await self._postpone(recording_id)
                return
        self._retry_delays.forget(recording_id)
        await self._apply(recording, observation)

    async def _postpone(self, recording_id: str) -> None:
        delay = self._retry_delays.after_failure(recording_id, MAX_RETRY_DELAY_SECONDS)
        at = self._now() + timedelta(seconds=delay)
        await self._store.schedule_read(
            ScheduledRead(ids=(recording_id,), at=at.timestamp(), postpone=True)
        )

    async def _apply(self, recording: Recording, observation: Observation) -> None:
        result = await self._store.apply([self._with_next_read(recording, observation)])
        if result.read_at == (None,):
            self._shown_files.drop(recording.recording_id)  # shown while the read was in progress
        logger = structlog.get_logger()
        log = logger.info if result.events else logger.debug
        log(
            "recording_read",
            app=self._app,
            recording_id=recording.recording_id,
            status=observation.snapshot.status,
            events=result.events,
        )

    def _with_next_read(self, recording: Recording, observation: Observation) -> Observation:
        if observation.read_again_at is not None:
            return observation
        after = apply_observation(recording, observation).after
        at = read_again_at(after, self._now(), self._timeouts)
        return msgspec.structs.replace(observation, read_again_at=at)
