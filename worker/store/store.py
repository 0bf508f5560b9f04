"""The state store: what was asked, what is known, what is still to be published.

One implementation over SQL for SQLite (embedded) and PostgreSQL (several replicas). Every method
returns once its change is committed, or raises StoreUnavailable and nothing was.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from recording_schemas import Status
from worker.budget.ledger import TokenGrant, TokenRequest
from worker.domain.recording import Observation, Recording
from worker.store import cursors, inbox, leases, outbox, pruning, read_schedule
from worker.store.budgets import grant_tokens
from worker.store.cursors import Cursor
from worker.store.database.clock import DatabaseClock, MachineClock
from worker.store.database.engine import open_engine, sqlite_lock
from worker.store.database.group_commit import GroupCommit
from worker.store.database.migrate import migrate
from worker.store.database.notifications import Notifier, Topic
from worker.store.finishing import FinishRequest
from worker.store.inbox import ClaimRequest, ClaimResult, ReleaseRequest
from worker.store.leases import LeaseRequest
from worker.store.observations import WebhookObservation, WebhookResult, apply_batch
from worker.store.outbox import UnsentEvent
from worker.store.pruning import PruneSentRequest
from worker.store.queries import (
    RecordingsFilter,
    Staleness,
    count_by_app,
    count_by_status,
    find_recordings,
    measure_staleness,
)
from worker.store.read_schedule import (
    DueQuery,
    DueReads,
    OverdueQuery,
    ScheduledRead,
    TrackedRecording,
)
from worker.store.recordings import ApplyResult
from worker.store.slots import find_calling, find_starting


class Store:
    """The promise of the state store, on one database. Open it with `Store.open`."""

    def __init__(
        self,
        group: GroupCommit,
        news: Notifier,
        rooms: AsyncExitStack,
        *,
        source: str,
        now: Callable[[], float],
    ) -> None:
        self._group = group
        self._news = news
        self._rooms = rooms
        self.now = now
        """The clock that all who share the database go by, in seconds since the epoch."""
        self._take_in = partial(apply_batch, source=source)
        self._spend = partial(grant_tokens, now=now)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        source: str,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] | None = None,
    ) -> Self:
        """Connect, bring the tables up to date, and return the store.

        `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://…`; `source`
        is the CloudEvents source of what it publishes; `now` is this machine's clock, which only
        counts on SQLite: those who share a PostgreSQL go by that one's; by `ticks`, a clock that
        nobody can set, jumps of `now` are noticed. Raises StoreUnavailable, also when another
        worker has the SQLite file open.
        """
        engine = open_engine(url)
        embedded = engine.dialect.name == "sqlite"
        async with AsyncExitStack() as rooms:
            if embedded and (lock := sqlite_lock(engine.url.database)):
                rooms.enter_context(lock)
            clock = None if embedded else DatabaseClock()
            set_by_hand = MachineClock(now, ticks) if embedded and ticks else None
            watched = clock or set_by_hand
            news = Notifier(engine)
            group = GroupCommit(
                engine,
                news,
                on_begin=watched.on_begin if watched else None,
                on_commit=set_by_hand.on_commit if set_by_hand else None,
            )
            rooms.push_async_callback(group.close)
            await group.submit(migrate, None)
            if embedded:  # nobody else uses it: who held a lease is dead
                await group.submit(inbox.free_leases, None)
                await group.submit(leases.release_all, None)
            return cls(group, news, rooms.pop_all(), source=source, now=clock.now if clock else now)

    async def close(self) -> None:
        """Commit what was asked before, then let go of the database."""
        await self._rooms.aclose()

    @property
    def commit_error(self) -> str | None:
        """Why the last transaction could not be committed; None when it was."""
        return self._group.commit_error

    def subscribe(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when a commit leaves something: here, and on PostgreSQL,
        while `listen` runs, at any replica. A hint that may be lost or come for nothing.

        `outbox`: events to publish. `due`: recordings to read by themselves. `lease`: a lease was
        given up.
        """
        self._news.subscribe(topic, callback)

    async def listen(self) -> None:
        """Listen for what other replicas commit; for ever on PostgreSQL, not at all on SQLite."""
        await self._news.listen()

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """Claim a command for execution; a finished one has its outcome queued once more."""
        return await self._group.submit(inbox.claim, request)

    async def release(self, request: ReleaseRequest) -> None:
        """Give a claimed command back, to be claimed again later."""
        await self._group.submit(inbox.release, request)

    async def finish(self, request: FinishRequest) -> ApplyResult:
        """Commit the end of a command: what was seen, its outcome, and the events of both."""
        return await self._group.submit(self._take_in, request)

    async def apply(self, seen: Sequence[Observation]) -> ApplyResult:
        """Commit what was seen, with the events it makes."""
        return await self._group.submit(self._take_in, seen)

    async def apply_webhook(self, request: WebhookObservation) -> WebhookResult:
        """Commit what a webhook told, if it is about a recording that is known."""
        return await self._group.submit(self._take_in, request)

    async def acquire_lease(self, wish: LeaseRequest) -> bool:
        """Take or extend a lease; False when somebody else holds it."""
        return await self._group.submit(leases.acquire, wish)

    async def release_leases(self, owner: str) -> None:
        """Give up every lease of this owner."""
        await self._group.submit(leases.release, owner)

    async def acquire_tokens(self, name: str, request: TokenRequest) -> TokenGrant:
        """Leave for requests to the API out of the budget `name`, at the time of `now`."""
        return await self._group.submit(self._spend, (name, request), last=True)

    async def unsent(
        self, limit: int, *, after: int = 0, sent: Iterable[int] = (), now: float = 0.0
    ) -> list[UnsentEvent]:
        """The oldest events that no broker has confirmed, in the order of their commits.

        `after` is a position to begin behind; what has an earlier one of its subject waiting up to
        there is left out. In the same commit, before that, the positions `sent` are marked as by
        `mark_sent`.
        """
        return await self._group.submit(outbox.read_unsent, (limit, after, sent, now))

    async def mark_sent(self, positions: Iterable[int], now: float) -> None:
        """Remember that the broker confirmed these events at `now`, seconds since the epoch."""
        await self._group.submit(outbox.mark_sent, (positions, now))

    async def outbox_depth(self) -> tuple[int, float | None]:
        """How many events are unsent, and when (seconds) the oldest of them was committed."""
        return await self._group.submit(outbox.measure_depth, None)

    async def prune_sent(self, wanted: PruneSentRequest) -> int | None:
        """Remove up to 500 old events; where the next step begins, None when none is as old."""
        return await self._group.submit(pruning.prune_sent, wanted)

    async def prune_recordings(self, before: float) -> int:
        """Forget up to 100 recordings closed before a time (seconds), with their files."""
        return await self._group.submit(pruning.prune_recordings, before)

    async def prune_commands(self, before: float) -> int:
        """Forget up to 500 commands that ended before a time (seconds) and whose recordings are
        forgotten."""
        return await self._group.submit(pruning.prune_commands, before)

    async def live(self, app: str) -> dict[str, float]:
        """Ids of the app's live recordings, with when (seconds) each was seen that is known by
        its first sight only, else 0."""
        return await self._group.submit(read_schedule.find_live, app)

    async def tracked(self, ids: Collection[str]) -> dict[str, TrackedRecording]:
        """Those of the recordings that are known, by id."""
        return await self._group.submit(read_schedule.find_tracked, ids)

    async def due(self, wanted: DueQuery) -> DueReads:
        """Recordings that are to be read by themselves now."""
        return await self._group.submit(read_schedule.find_due, wanted)

    async def overdue(self, wanted: OverdueQuery) -> tuple[Recording, ...]:
        """Open recordings that have not moved on for too long."""
        return await self._group.submit(read_schedule.find_overdue, wanted)

    async def schedule_overdue(self, wanted: OverdueQuery) -> None:
        """Have those read at once."""
        await self._group.submit(read_schedule.schedule_overdue, wanted)

    async def schedule_read(self, wanted: ScheduledRead) -> None:
        """Have recordings read by themselves at a time."""
        await self._group.submit(read_schedule.schedule_reads, wanted)

    async def starting(self, slots: Collection[str]) -> frozenset[str]:
        """Those of the slots in which a start that is not finished may have begun a recording."""
        return await self._group.submit(find_starting, slots)

    async def calling(self, slots: Collection[str]) -> bool:
        """Whether the API may be answering a start in one of the slots just now."""
        return await self._group.submit(find_calling, slots)

    async def cursor(self, name: str) -> float | None:
        """How far something has been followed (seconds), None if that was never noted."""
        return await self._group.submit(cursors.find_cursors, name)

    async def set_cursor(self, wanted: Cursor) -> None:
        """Note how far something has been followed."""
        await self._group.submit(cursors.set_cursors, wanted)

    async def count_by_status(self) -> dict[Status, int]:
        """How many open recordings there are of each status."""
        return await self._group.submit(count_by_status, None)

    async def staleness(self) -> Staleness:
        """What has gone longest without a change, and without the look it is due."""
        return await self._group.submit(measure_staleness, None)

    async def count_by_app(self) -> dict[str, int]:
        """How many open recordings each app has that has any."""
        return await self._group.submit(count_by_app, None)

    async def recordings(self, wanted: RecordingsFilter) -> list[Recording]:
        """Recordings by filter, the most recently changed first."""
        return await self._group.submit(find_recordings, wanted)
