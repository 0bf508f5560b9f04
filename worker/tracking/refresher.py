"""Reads recordings one by one: what a list cannot tell, each when it is due.

That is the files of those that were uploaded, what became of those that a sweep did not find on
the list, and what a webhook told that only the API itself can settle. When each is due stands in
the store, so that a restart or another leader goes on where this one was.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from recording_schemas import Status
from worker.aio import wait_until_set
from worker.domain.errors import ApiError, NotFound, Refused, StoreUnavailable
from worker.domain.read_policy import is_past_rechecks, read_again_at
from worker.domain.recording import RANK, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import (
    end_observation,
    give_up_observation,
    stalled_error,
    vanished_error,
)
from worker.domain.timeouts import (
    Timeouts,
    files_wait_is_over,
    is_confirmed_missing,
    is_overdue,
    should_give_up,
)
from worker.domain.transitions import apply_observation
from worker.observability.tracing import NO_TRACING, Span, Tracing
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording
from worker.store.read_schedule import DueQuery, ScheduledRead
from worker.store.store import Store

READS_AT_ONCE: Final = 8
UPLOADS_AT_ONCE: Final = 4
"""So many of these places go to uploads first: what is overdue may be read in hundreds."""

IDLE_SECONDS: Final = 1.0
"""How long to wait for what becomes due without a word, such as a look that was put off."""

LONGEST_PAUSE: Final = 300.0
"""Between two tries of a recording that cannot be read though the API is there, in seconds."""


class Refresher:
    """Works off one app's recordings that are due to be read.

    `swept` tells when the last complete sweep began (seconds) and how many pages it took: more
    live recordings than these that became due since are left to the next sweep, which is asked for
    with `sweep_soon`; None: to no sweep. `committed` is told that events wait to be published.
    """

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        patience: Timeouts,
        *,
        app: str,
        outage: CircuitBreaker,
        now: Callable[[], datetime],
        swept: Callable[[], tuple[float, int | None]],
        sweep_soon: Callable[[], None],
        committed: Callable[[], None],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._store = store
        self._api = api
        self._patience = patience
        self._app = app
        self._outage = outage
        self._now = now
        self._swept = swept
        self._sweep_soon = sweep_soon
        self._committed = committed
        self._tracing = tracing
        self._woken = asyncio.Event()
        self._in_hand: dict[str, Status] = {}
        # Pauses of those that could not be read; after a restart they are short again.
        self._pauses: dict[str, float] = {}

    def wake(self) -> None:
        """Something has become due, or there is a place to read it."""
        self._woken.set()

    async def run(self, leads: Callable[[], bool]) -> None:
        """Read for ever. A store that is away is met again a moment later."""
        while True:
            self._woken.clear()
            try:
                await self.once(leads)
            except* StoreUnavailable as errors:
                reason = str(errors.exceptions[0])
                structlog.get_logger().warning("reads_failed", app=self._app, reason=reason)
                self._woken.clear()  # reads that failed have set it
            await self._something_due()

    async def _something_due(self) -> None:
        await wait_until_set(self._woken, IDLE_SECONDS)

    async def once(self, leads: Callable[[], bool] = lambda: True) -> None:
        """Read all that is due now, and what becomes due meanwhile, a few at a time.

        One that takes long keeps no other waiting. Raises StoreUnavailable inside an
        ExceptionGroup.
        """
        try:
            async with asyncio.TaskGroup() as reads:
                while leads():
                    self._woken.clear()
                    due = await self._due()
                    self._begin(due, reads)
                    if not due:
                        if not (self._in_hand or self._woken.is_set()):
                            return
                        await self._something_due()
        finally:
            self._in_hand.clear()  # what was broken off before it began is still in it

    def _begin(self, due: Sequence[Recording], reads: asyncio.TaskGroup) -> None:
        for one in due:
            self._in_hand[one.recording_id] = one.status
            reads.create_task(self._in_turn(one), name=f"read {one.recording_id}")

    async def _due(self) -> tuple[Recording, ...]:
        places = READS_AT_ONCE - len(self._in_hand)
        if not places or not self._outage.allow_request():
            return ()
        uploads = list(self._in_hand.values()).count(Status.UPLOADED)
        swept_at, pages = self._swept()
        due = await self._store.due(
            DueQuery(
                app=self._app,
                now=self._now().timestamp(),
                swept_at=swept_at,
                few=pages,
                limit=places,
                upload_limit=max(UPLOADS_AT_ONCE - uploads, 0),
                exclude=tuple(self._in_hand),
            )
        )
        if due.sweep_too:
            self._sweep_soon()
        return due.reads

    async def _in_turn(self, known: Recording) -> None:
        try:
            # The API may have gone away since this became due.
            if self._outage.allow_request():
                with self._span(known):
                    await self._follow_up(known)
        finally:
            self._in_hand.pop(known.recording_id)
            self.wake()

    def _span(self, known: Recording) -> Span:
        """A look belongs to the trace of the command that started the recording."""
        trace = known.start.trace if known.start else {}
        attributes = {"recording_worker.recording_id": known.recording_id}
        return self._tracing.span("read recording", "internal", parent=trace, attributes=attributes)

    async def _follow_up(self, known: Recording) -> None:
        asked_at = self._now()
        try:
            seen = await self._look(known, asked_at)
        except ApiError as error:
            structlog.get_logger().warning(
                "read_failed", recording_id=known.recording_id, reason=str(error)
            )
            unread = self._without_answer(known, asked_at)
            if unread is None:
                await self._put_off(known)
                return
            seen = unread
        self._pauses.pop(known.recording_id, None)
        absorbed = await self._store.apply([self._with_next_look(known, seen)])
        if absorbed.events:
            self._committed()
        structlog.get_logger().info(
            "read",
            app=self._app,
            recording_id=known.recording_id,
            status=seen.snapshot.status,
            events=absorbed.events,
        )

    def _without_answer(self, known: Recording, asked_at: datetime) -> Observation | None:
        """What it comes to that a recording cannot be read; None: it is to be tried again."""
        now = self._now()
        if should_give_up(known, now, self._patience):
            return give_up_observation(known, self._patience, asked_at=asked_at, now=now)
        tried_enough = self._pauses.get(known.recording_id, 0.0) >= LONGEST_PAUSE
        return (
            self._as_before(known, asked_at)
            if tried_enough and is_past_rechecks(known, now)
            else None
        )

    async def _put_off(self, known: Recording) -> None:
        pause = self._pauses.get(known.recording_id, 1.0)
        self._pauses[known.recording_id] = min(pause * 2, LONGEST_PAUSE)
        at = self._now() + timedelta(seconds=pause)
        await self._store.schedule_read(
            ScheduledRead(ids=(known.recording_id,), at=at.timestamp(), postpone=True)
        )

    def _with_next_look(self, known: Recording, seen: Observation) -> Observation:
        if seen.read_again_at is not None:
            return seen
        after = apply_observation(known, seen).after
        at = read_again_at(after, self._now(), self._patience)
        return msgspec.structs.replace(seen, read_again_at=at)

    # What one look comes to. Each raises the ApiError that keeps it from telling.

    async def _look(self, known: Recording, asked_at: datetime) -> Observation:
        try:
            seen = await fetch_recording(
                self._api,
                known.recording_id,
                known,
                app=self._app,
                observed_by="sweep",
                now=self._now,
                last_look=files_wait_is_over(known, asked_at, self._patience),
            )
        except NotFound:
            return await self._missed(known, asked_at)
        told = seen.snapshot.status
        if RANK[told] <= RANK[known.status] and is_overdue(known, self._now(), self._patience):
            return await self._end(known, told, asked_at)
        return seen

    async def _missed(self, known: Recording, asked_at: datetime) -> Observation:
        """404 for a recording that was there. The API may be behind, so not at the first time.

        It may list it all the same, for ever: being missing is not the only way to its end.
        """
        now = self._now()
        gone = is_confirmed_missing(known, now, self._patience) or files_wait_is_over(
            known, now, self._patience
        )
        if known.is_open and gone:
            return end_observation(known, vanished_error(known), asked_at=asked_at, now=now)
        if is_overdue(known, now, self._patience):
            return await self._end(known, known.status, asked_at)
        return self._as_before(known, asked_at, missing=True)

    async def _end(self, known: Recording, told: Status, asked_at: datetime) -> Observation:
        """It should have moved on long ago: stop it, so that it does not go on after all.

        What others started is theirs to stop. Whatever the API answers, a recording comes closer
        to its end by this, or is at it.
        """
        if known.start is not None and told is not Status.UPLOADING:
            try:
                snapshot = await self._api.control_recording(known.recording_id, "stop")
            except Refused:
                pass
            else:
                if RANK[snapshot.status] > RANK[known.status]:
                    return self._saw(snapshot, asked_at)
        now = self._now()
        return end_observation(
            known, stalled_error(known, self._patience, now), asked_at=asked_at, now=now
        )

    def _as_before(
        self, known: Recording, asked_at: datetime, *, missing: bool = False
    ) -> Observation:
        snapshot = RecordingSnapshot(
            recording_id=known.recording_id, status=known.status, kind=known.kind
        )
        return self._saw(snapshot, asked_at, missing=missing)

    def _saw(
        self, snapshot: RecordingSnapshot, asked_at: datetime, *, missing: bool = False
    ) -> Observation:
        return Observation(
            snapshot=snapshot,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=self._now(),
            app=self._app,
            missing=missing,
        )
