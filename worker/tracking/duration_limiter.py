"""Stops recordings whose maximum duration (`max_seconds`) has passed.

The store holds when each is due, so a restarted worker or another leader continues where this one
stopped. An attempt is claimed in the store before it calls the API: the next attempt is scheduled
after the end of this one. So two replicas that both seem to lead never stop one recording at the
same time.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from worker.aio import in_own_task, wait_until_set
from worker.domain.errors import (
    ApiError,
    LeaseLost,
    NotYet,
    Refused,
    RefusedForNow,
    StoreUnavailable,
    Unanswered,
)
from worker.domain.read_policy import is_past_rechecks
from worker.domain.recording import Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.actions import Ended, act_on_recording
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.store.read_schedule import ScheduledRead
from worker.store.stop_times import DueStop, DueStopsQuery, MovedStop
from worker.store.store import Store
from worker.tracking.retry_delays import RetryDelays

MAX_CONCURRENT_STOPS: Final = 10

POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the limiter checks for due stops: no notification arrives when a time is reached."""

CLAIM_MARGIN_SECONDS: Final = 2.0
"""The claim of an attempt lasts this much longer than the attempt."""

MAX_RETRY_DELAY_SECONDS: Final = 10.0
MAX_REFUSED_DELAY_SECONDS: Final = 60.0
"""The longest pause between two attempts: while the API is unavailable, and when it refuses the
stop."""


class DurationLimiter:
    """Stops one app's recordings when they are due, and again until they have ended.

    `attempt_seconds` is how long one attempt may take.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        *,
        app: str,
        breaker: CircuitBreaker,
        attempt_seconds: float,
        now: Callable[[], datetime],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._store = store
        self._api = api
        self._app = app
        self._breaker = breaker
        self._attempt_seconds = attempt_seconds
        self._now = now
        self._tracing = tracing
        self._wakeup = asyncio.Event()
        self._in_progress: set[str] = set()
        self._retry_delays = RetryDelays()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Stop again and again. While the store is down, try every second."""
        while True:
            try:
                await in_own_task(self.stop_due(is_leader))
            except* StoreUnavailable as errors:
                reason = str(errors.exceptions[0])
                structlog.get_logger().warning("limiting_failed", app=self._app, reason=reason)
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def stop_due(self, is_leader: Callable[[], bool] = lambda: True) -> None:
        """Stop all recordings that are due now or become due meanwhile, a few concurrently.

        A slow stop does not delay the others. Raises StoreUnavailable in an ExceptionGroup.
        """
        try:
            async with asyncio.TaskGroup() as stops:
                while is_leader():
                    self._wakeup.clear()
                    due = await self._find_due()
                    self._start_stops(due, stops)
                    if due:
                        continue
                    if not self._in_progress:
                        return
                    await wait_until_set(self._wakeup, POLL_INTERVAL_SECONDS)
        finally:
            self._in_progress.clear()  # a task that was cancelled before it began is still in it

    async def _find_due(self) -> Sequence[DueStop]:
        limit = MAX_CONCURRENT_STOPS - len(self._in_progress)
        if not limit:
            return ()
        due = await self._store.due_stops(
            DueStopsQuery(
                app=self._app,
                now=self._now().timestamp(),
                limit=limit,
                exclude=tuple(self._in_progress),
            )
        )
        if not due or not self._breaker.is_open:
            return due
        # One of them probes the API, as a stop command would.
        return due[:1] if await self._breaker.acquire_probe(0.0, urgent=True) else ()

    def _start_stops(self, due: Sequence[DueStop], stops: asyncio.TaskGroup) -> None:
        for stop in due:
            recording_id = stop.recording.recording_id
            self._in_progress.add(recording_id)
            stops.create_task(self._stop(stop), name=f"stop {recording_id}")

    async def _stop(self, due: DueStop) -> None:
        recording = due.recording
        try:
            if is_past_rechecks(recording, self._now()):
                await self._move(recording, due.stop_at, None)
                return
            claimed_until = self._after(self._attempt_seconds + CLAIM_MARGIN_SECONDS)
            if await self._move(recording, due.stop_at, claimed_until):
                with self._tracing.recording_span(
                    "stop recording", recording.recording_id, recording.trace
                ):
                    await self._attempt(recording, claimed_until)
        finally:
            self._in_progress.discard(recording.recording_id)
            self._wakeup.set()

    async def _attempt(self, recording: Recording, claimed_until: float) -> None:
        asked_at = self._now()
        try:
            snapshot = await self._stop_at_api(recording, claimed_until)
        except (ApiError, NotYet) as error:
            await self._retry_later(recording, claimed_until, error)
        else:
            self._retry_delays.forget(recording.recording_id)
            await self._apply(recording, snapshot, asked_at)

    async def _stop_at_api(self, recording: Recording, claimed_until: float) -> RecordingSnapshot:
        async def check_claim() -> None:
            if self._now().timestamp() >= claimed_until:  # the process was frozen
                raise LeaseLost("lease_lost", "the attempt was interrupted for too long")

        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await act_on_recording(
                    self._api.with_check(check_claim), recording.recording_id, "stop"
                )
        except TimeoutError as error:
            raise Unanswered("timeout", "the attempt took too long and was cancelled") from error

    async def _retry_later(
        self, recording: Recording, claimed_until: float, error: ApiError | NotYet
    ) -> None:
        recording_id = recording.recording_id
        if isinstance(error, Ended):  # a read finds out whether it is gone
            at = self._now().timestamp()
            await self._store.schedule_read(ScheduledRead(ids=(recording_id,), at=at))
        delay = self._next_delay(recording_id, error)
        structlog.get_logger().warning(
            "recording_stop_failed",
            app=self._app,
            recording_id=recording_id,
            reason=str(error),
            retry_seconds=delay,
        )
        await self._move(recording, claimed_until, self._after(delay))

    def _next_delay(self, recording_id: str, error: ApiError | NotYet) -> float:
        is_refused = isinstance(error, Refused | RefusedForNow)
        longest = MAX_REFUSED_DELAY_SECONDS if is_refused else MAX_RETRY_DELAY_SECONDS
        delay = self._retry_delays.after_failure(recording_id, longest)
        requested = (error.retry_after if isinstance(error, Unanswered) else None) or 0.0
        return min(max(delay, requested), longest)

    async def _apply(
        self, recording: Recording, snapshot: RecordingSnapshot, asked_at: datetime
    ) -> None:
        observation = Observation.by_sweep(snapshot, asked_at, self._now(), self._app)
        await self._store.apply([observation])
        structlog.get_logger().info(
            "recording_stopped",
            app=self._app,
            recording_id=recording.recording_id,
            status=snapshot.status,
            max_seconds=recording.start.max_seconds if recording.start else None,
        )

    async def _move(self, recording: Recording, before: float, stop_at: float | None) -> bool:
        return await self._store.move_stop(
            MovedStop(recording_id=recording.recording_id, before=before, stop_at=stop_at)
        )

    def _after(self, seconds: float) -> float:
        return self._now().timestamp() + seconds
