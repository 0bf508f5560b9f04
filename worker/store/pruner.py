"""Forgets what is over and old, so that the state stays as small as what happens in a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from worker.domain.errors import StoreUnavailable
from worker.store.pruning import PruneSentRequest
from worker.store.store import Store

PRUNE_INTERVAL_SECONDS: Final = 60.0
STEP_PAUSE_SECONDS: Final = 0.1
"""Between two steps, for those who wait for a commit."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long to remember what is over, in seconds: events `sent_seconds`, commands and recordings
    `finished_seconds`."""

    sent_seconds: float
    finished_seconds: float


class Pruner:
    """Prunes the store, whenever this replica leads."""

    def __init__(self, store: Store, keep: Retention, *, now: Callable[[], float]) -> None:
        self._store = store
        self._keep = keep
        self._now = now

    async def run(self, leads: Callable[[], bool]) -> None:
        """Prune for ever, every minute. A store that is away is met again at the next time."""
        while True:
            try:
                await self.prune_once(leads, STEP_PAUSE_SECONDS)
            except StoreUnavailable as error:
                structlog.get_logger().warning("pruning_failed", reason=str(error))
            await asyncio.sleep(PRUNE_INTERVAL_SECONDS)

    async def prune_once(self, leads: Callable[[], bool], pause_seconds: float = 0.0) -> None:
        """Remove all that is too old now, step by step, while `leads()`."""
        steps = (self._sent(), self._recordings, self._commands)  # a start after its recording
        for step in steps:
            while leads():
                if not await step():
                    break
                await asyncio.sleep(pause_seconds)

    def _sent(self) -> Callable[[], Awaitable[bool]]:
        """Steps from the front of the outbox on; each True when there is another."""
        after = 0

        async def step() -> bool:
            nonlocal after
            then = await self._store.prune_sent(
                PruneSentRequest(before=self._now() - self._keep.sent_seconds, after=after)
            )
            after = then or after
            return then is not None

        return step

    async def _recordings(self) -> bool:
        return await self._store.prune_recordings(self._now() - self._keep.finished_seconds) > 0

    async def _commands(self) -> bool:
        return await self._store.prune_commands(self._now() - self._keep.finished_seconds) > 0
