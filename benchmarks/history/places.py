"""A database with a history, and the measurements on it.

Each operation is a function of a `Place` and of the number of its repetition. So each repetition
uses a different part of the history.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from benchmarks.history.fill import History
from benchmarks.history.lives import SHARES
from recording_schemas import Status
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.times import utc
from worker.store.admin.read_only import P, Query, ResultT, open_read_only
from worker.store.admin.state_reader import StateReader
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

LIVE: Final = 1_000
"""The number of live recordings."""

LISTED: Final = 100
"""Recordings on a page of the API's list."""

APP: Final = "default"
MIN_PRUNED: Final = 200
"""The number of recordings that a step of pruning removes, at each repetition."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A database and its contents."""

    url: str
    history: History
    store: Store
    reader: StateReader

    def read(
        self,
        query: Query[P, ResultT],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ResultT:
        """The result of a query, as the command line asks it."""
        with open_read_only(self.url) as connection:
            return query(connection, *args, **kwargs)

    def number(self, repetition: int, life: int | None = None) -> int:
        """The number of a recording of this life, in the newer half of the history."""
        half = self.history.recordings // 2
        number = half + (repetition * 7_919 + 13) * 104_729 % half
        step = 0 if life is None else SHARES.index(life)
        return min(number // 10 * 10 + step, self.history.recordings - 10 + step)

    def past(self, id_kind: str, repetition: int, life: int | None = None) -> str:
        """An id from the history."""
        return self.history.id_of(id_kind, self.number(repetition, life))

    def prune_before(self, repetition: int) -> float:
        """A time before which more recordings have ended than at the previous repetition."""
        return self.history.ended_at(MIN_PRUNED * (repetition + 1))


Run = Callable[[Place, int], Awaitable[object]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A measured operation."""

    name: str
    group: str
    run: Run


def live_id(number: int) -> str:
    """The id of a live recording."""
    return f"live-{number}"


async def go_live(place: Place) -> None:
    """Add the live recordings."""
    now = place.store.now()
    for first in range(0, LIVE, LISTED):
        observations = [observed(live_id(number), now) for number in range(first, first + LISTED)]
        await place.store.apply(observations)
    while waiting := await place.store.unsent(500):
        sent = PageMarks(sent=[event.position for event in waiting])
        await place.store.mark_page(sent, now)


def observed(
    recording_id: str,
    now: float,
    status: Status = Status.RECORDING,
    start_id: str | None = None,
    meeting_id: str | None = None,
) -> Observation:
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id=recording_id,
            status=status,
            kind="track",
            meeting_id=meeting_id or f"meeting-{recording_id}",
            invoked_time=utc(now),
        ),
        observed_by="sweep",
        asked_at=utc(now),
        observed_at=utc(now),
        start=StartContext(start_id=start_id) if start_id else None,
    )


def expect(is_found: object) -> None:
    """Raise LookupError if `is_found` is false: an operation without a result measures nothing."""
    if not is_found:
        raise LookupError("it did not find what is there")


def by_hand(read: Callable[[Place, int], object]) -> Run:
    """Run it in a thread, like the console does, so that a slow query delays no other work."""

    async def run(place: Place, repetition: int) -> object:
        return await asyncio.to_thread(read, place, repetition)

    return run
