"""Removes old rows, so that the state does not grow with history."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
import structlog

from worker.domain.errors import StoreUnavailable
from worker.store.clock_repair import Repair
from worker.store.prune_clock import Pruning
from worker.store.pruning import PruneCursor, PruneRequest, PruneSentRequest, PruneStep
from worker.store.store import Store

PRUNE_INTERVAL_SECONDS: Final = 60.0
KEEP_LEASES_SECONDS: Final = 3600.0
"""A lease is removed this long after its end, because its owner died."""
STEP_PAUSE_SECONDS: Final = 0.1
"""The pause between two steps, so that other requests can commit."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long to keep sent events, finished commands and closed recordings."""

    sent_seconds: float
    finished_seconds: float


class Pruner:
    """Prunes the store while this replica is the leader.

    No read of a recording is scheduled further ahead than `read_ahead`, in seconds. A later time
    was written while the clock was ahead.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        *,
        now: Callable[[], float],
        read_ahead: float = math.inf,
    ) -> None:
        self._store = store
        self._retention = retention
        self._now = now
        self._read_ahead = read_ahead

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Prune every minute, forever. If the store is down, try again a minute later."""
        while True:
            try:
                await self.prune_once(is_leader, STEP_PAUSE_SECONDS)
            except StoreUnavailable as error:
                structlog.get_logger().warning("pruning_failed", reason=str(error))
            await asyncio.sleep(PRUNE_INTERVAL_SECONDS)

    async def prune_once(self, is_leader: Callable[[], bool], pause_seconds: float = 0.0) -> None:
        """Remove all rows that are too old now, step by step, while `is_leader()`."""
        if not is_leader():
            return
        now, keep = self._now(), self._retention
        longest = max(keep.sent_seconds, keep.finished_seconds, KEEP_LEASES_SECONDS)
        clock = await self._store.advance_prune_clock(Pruning(now=now, longest=longest))
        finished_before = clock.horizon(keep.finished_seconds)
        # A start is removed after its recording, so recordings come first.
        steps: list[Callable[[], Awaitable[bool]]] = [
            self._sent_events_step(clock.horizon(keep.sent_seconds)),
            self._ended_rows_step(self._store.prune_recordings, finished_before),
            self._ended_rows_step(self._store.prune_commands, finished_before),
        ]
        if clock.is_steady:
            repair = Repair(now=now, read_ahead=self._read_ahead, all_ahead=clock.settled_back)
            steps.append(partial(self._store.correct_times, repair))
        for step in steps:
            while is_leader():
                if not await step():
                    break
                await asyncio.sleep(pause_seconds)
        if is_leader():
            await self._store.prune_leases(clock.horizon(KEEP_LEASES_SECONDS))

    def _sent_events_step(self, before: float) -> Callable[[], Awaitable[bool]]:
        """Steps through the outbox from its front. Each call makes one step and returns whether
        there is another."""
        after = 0

        async def step() -> bool:
            nonlocal after
            next_after = await self._store.prune_sent(PruneSentRequest(before=before, after=after))
            after = next_after or after
            return next_after is not None

        return step

    def _ended_rows_step(
        self, prune: Callable[[PruneRequest], Awaitable[PruneStep]], before: float
    ) -> Callable[[], Awaitable[bool]]:
        """Steps through the rows that ended before a time, the oldest first."""
        after: PruneCursor | None = None

        async def step() -> bool:
            nonlocal after
            after = (await prune(PruneRequest(before=before, after=after))).next
            return after is not None

        return step
