"""The facade of the state store: commands, recordings, and events that are still to be published.

One implementation over SQL serves SQLite (embedded) and PostgreSQL (several replicas). Every method
returns once its change is committed. If it raises StoreUnavailable, nothing was committed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, Self

from recording_schemas import Status
from worker.budget.ledger import TokenGrant, TokenRequest
from worker.domain.recording import Observation, Recording
from worker.store import (
    app_identities,
    archive_leases,
    clock_repair,
    command_leases,
    due_commands,
    due_reads,
    inbox,
    leases,
    outbox_marks,
    parking,
    people_of_starts,
    prune_clock,
    pruning,
    queries,
    read_schedule,
    releasing,
    replaying,
    stop_times,
    unsent_events,
)
from worker.store.action_intents import ActionIntent, keep_intent
from worker.store.app_identities import AppIdentity
from worker.store.archive_store import ArchiveStore
from worker.store.budgets import grant_tokens
from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.clock_repair import Repair
from worker.store.cursors import Cursor, find_cursor, set_cursor
from worker.store.database.notifications import Topic
from worker.store.database.opening import OpenDatabase, open_database
from worker.store.database.postgresql import CurrentUrl, Pooler
from worker.store.due_commands import DueCommand, ParkedCount
from worker.store.due_reads import DueQuery, DueReads
from worker.store.finishing import FinishRequest
from worker.store.late_adoption import LateAdoption, adopt_deferred
from worker.store.leases import LeaseRequest
from worker.store.observations import WebhookObservation, WebhookResult, apply_batch
from worker.store.outbox_marks import PageMarks
from worker.store.parking import LiveSessions, ParkRequest, RepeatRequest, WaitsFor
from worker.store.people_of_starts import PeopleOfStart
from worker.store.prune_clock import PruneClock, Pruning
from worker.store.pruning import PruneRequest, PruneSentRequest, PruneStep
from worker.store.queries import RecordingsFilter, Staleness
from worker.store.read_schedule import (
    LiveQuery,
    OverdueQuery,
    ScheduledRead,
    TrackedRecording,
    UnlistedQuery,
)
from worker.store.recordings import ApplyResult
from worker.store.releasing import ReleaseRequest
from worker.store.replicas import Replicas
from worker.store.slots import any_calling, find_starting
from worker.store.stop_times import DueStop, DueStopsQuery, MovedStop
from worker.store.unsent_events import OutboxDepth, PageRequest, UnsentEvent

PAGE_PART: Final = 25
"""How many observations of a page share a transaction."""


class Store:
    """The state store on one database. Open it with `Store.open`."""

    def __init__(
        self,
        database: OpenDatabase,
        resources: AsyncExitStack,
        *,
        source: str,
        archives: bool,
    ) -> None:
        self._is_shared = database.is_shared
        self._group = database.group
        self._background = database.background
        self._notifier = database.notifier
        self._resources = resources
        self._lacking_rights: str | None = None
        self.now = database.now
        """The clock of everybody who shares the database, in seconds since the epoch."""
        self.archive = ArchiveStore(self._background, source=source)
        self.replicas = Replicas(
            self._group, self._notifier, database.session_parameters, now=self.now
        )
        """Which replicas have ended."""
        self._apply_batch = partial(apply_batch, source=source, archives=archives)
        self._adopt_deferred = partial(adopt_deferred, source=source, archives=archives)
        self._prune_recordings = partial(pruning.prune_recordings, archives=archives)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        source: str,
        archives: bool = False,
        pooler: Pooler = "none",
        current_url: CurrentUrl | None = None,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] | None = None,
    ) -> Self:
        """Connect, bring the tables up to date, and return the store.

        `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://…`. Each later
        connection to PostgreSQL takes its user and its password from `current_url()`. `pooler` is
        the kind of pooler before PostgreSQL. `source` is the CloudEvents source of the published
        events. `archives`: the archive is on, so the files that are announced are queued for it.
        `now` is this machine's clock, which counts on SQLite only: PostgreSQL's own clock
        counts for all who share it. `ticks` is a clock that cannot be set; with it, jumps of `now`
        are noticed.

        Raises StoreUnavailable, also if another worker has the SQLite file open, and WrongSettings
        for a URL of no known database.
        """
        async with AsyncExitStack() as resources:
            database = await open_database(
                url, resources, pooler=pooler, current_url=current_url, now=now, ticks=ticks
            )
            if not database.is_shared:  # no other process uses it: every owner of a lease is dead
                await database.group.run(releasing.free_leases)
                await database.group.run(leases.release_all)
                await database.group.run(archive_leases.free_owned)
            return cls(database, resources.pop_all(), source=source, archives=archives)

    async def close(self) -> None:
        """Commit what was submitted before, then close the database."""
        await self._resources.aclose()

    @property
    def commit_error(self) -> str | None:
        """Why the last transaction could not be committed, or why others cannot be: the role lacked
        rights on tables when a lease was last acquired. None if all is well."""
        if self._lacking_rights is not None:
            text = f"the role of DATABASE_URL lacks rights: {self._lacking_rights}"
            return f"{text} (GRANT them, or let the role own the tables)"
        return self._group.commit_error or self._background.commit_error

    @property
    def is_lost(self) -> asyncio.Event:
        """Set when this process must end, because SQLite's files were replaced. `commit_error` says
        what happened."""
        return self._group.must_end

    # Notifications

    def subscribe(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop after commits that concern the topic.

        These are commits of this store and, on PostgreSQL while `listen` runs, of every replica. A
        notification is only a hint. It may be lost, and there may be nothing to do.

        `outbox`: events to publish. `replies`: replies to publish. `due`: recordings to read one
        by one. `lease`: a lease was released. `parked`: parked commands are due. `archive`:
        files to copy.
        """
        self._notifier.subscribe(topic, callback)

    async def listen(self) -> None:
        """Listen for commits of other replicas, forever. Returns if the database cannot notify."""
        await self._notifier.listen()

    # Commands

    async def claim(self, request: ClaimRequest) -> ClaimResult:
        """Claim a command for execution. If it has ended, its outcome is published once more."""
        return await self._group.submit(inbox.claim, request, urgent=True)

    async def holds_command(self, command_id: str, owner: str, now: float) -> bool:
        """Whether the owner's claim to the command still lasts at `now`, in epoch seconds.

        PostgreSQL's clock may be ahead of this replica's copy of it, because the machine was
        suspended. Then the difference is added to `now`. On SQLite a claim always lasts, because no
        other process can use the file.
        """
        if not self._is_shared:
            return True
        lease: tuple[float | None, float] = await self._group.submit(
            command_leases.find_leases, (command_id, owner), urgent=True
        )
        until, database_time = lease
        return until is not None and now + max(database_time - self.now(), 0.0) < until

    async def keep_people(self, request: PeopleOfStart) -> bool:
        """Store the people whom a claimed start will ask the API to record. False if the claim is
        lost."""
        return await self._group.run(people_of_starts.keep_people, request, urgent=True)

    async def keep_intent(self, intent: ActionIntent, adopted: Sequence[Observation]) -> bool:
        """Store the recordings that a claimed command is about to act on, and the observations of
        those that it adopts. False if the claim is lost."""
        kept: Awaitable[bool] = self._group.submit(keep_intent, intent, urgent=True)
        if not adopted:
            return await kept
        # In one transaction. The recordings are locked before the command, as everywhere.
        applied = self._group.submit(self._apply_batch, adopted, urgent=True, size=len(adopted))
        return (await asyncio.gather(applied, kept))[1]

    async def release(self, request: ReleaseRequest) -> None:
        """Give a claimed command back, to be claimed again later."""
        await self._group.run(releasing.release, request, urgent=True)

    async def finish(self, request: FinishRequest) -> ApplyResult:
        """Commit the end of a command: its observations, its outcome, and the events of both."""
        return await self._group.submit(self._apply_batch, request, urgent=True)

    async def find_start_id(self, recording_id: str) -> str | None:
        """The id of the start that began the recording; None if it is unknown."""
        return await self._group.run(queries.find_start_id, recording_id, urgent=True)

    async def find_replayable(self, recording_ids: Collection[str]) -> frozenset[str]:
        """Those of the recordings that still have an event in the outbox."""
        return await self._group.run(replaying.find_replayable, recording_ids, urgent=True)

    async def find_starting(self, slots: Collection[str]) -> dict[str, float]:
        """The slots among these in which an unfinished start may have begun a recording, each with
        the time of its first call in seconds since the epoch."""
        return await self._background.submit(find_starting, slots)

    async def is_any_calling(self, slots: Collection[str]) -> bool:
        """Whether a start in any of the slots may be waiting for the API's answer now."""
        return await self._background.submit(any_calling, slots)

    # Parked commands

    async def park(self, request: ParkRequest) -> bool:
        """Give a claimed command back and park it. False if it is no longer ours or cancelled."""
        return await self._group.run(parking.park, request, urgent=True)

    async def park_repeat(self, request: RepeatRequest) -> bool:
        """Park a repeat of a parked command.

        False if the command is not parked any more, or has very many repeats.
        """
        return await self._group.run(parking.park_repeat, request, urgent=True)

    async def make_starts_due(self, sessions: LiveSessions) -> int:
        """Make the starts due that wait for these sessions; returns how many."""
        return await self._background.run(parking.make_starts_due, sessions)

    async def awaits_session(self, app: str) -> bool:
        """Whether a start of this app waits for a session."""
        return await self._background.run(parking.awaits_session, app, self.now())

    async def due_commands(self, now: float) -> list[DueCommand]:
        """Parked commands that are due at `now`, in seconds since the epoch; at most 500."""
        return await self._background.run(due_commands.read_due, now)

    async def remove_published(self, positions: Collection[int]) -> None:
        """Remove parkings whose messages the broker confirmed."""
        await self._background.run(due_commands.remove_published, positions)

    async def count_parked(self) -> dict[WaitsFor, ParkedCount]:
        """How many commands wait, and since when, by what they wait for."""
        return await self._background.run(due_commands.count_parked, self.now())

    # Observations

    async def apply(self, observations: Sequence[Observation]) -> ApplyResult:
        """Commit observations and the events they produce, in one transaction."""
        return await self._background.submit(
            self._apply_batch, observations, size=len(observations)
        )

    async def adopt_deferred(self, request: LateAdoption) -> str:
        """Adopt the recordings that commands acted on, and that no unfinished start may have begun
        any more. Returns the `after` of the next request."""
        return await self._background.run(self._adopt_deferred, request)

    async def apply_page(self, observations: Sequence[Observation]) -> int:
        """Commit a page of observations in order, a few at a time. Returns how many events they
        produced.

        Commands wait for no more than these few.
        """
        parts = range(0, len(observations), PAGE_PART)
        results = [await self.apply(observations[at : at + PAGE_PART]) for at in parts]
        return sum(result.events for result in results)

    async def apply_webhook(self, request: WebhookObservation) -> WebhookResult:
        """Commit the observation of a webhook, if the store has the recording."""
        return await self._group.submit(self._apply_batch, request)

    # Events

    async def unsent(
        self,
        limit: int,
        *,
        marks: PageMarks | None = None,
        now: float = 0.0,
        replies: bool | None = None,
        resume: bool = False,
        next_try_by: float | None = None,
    ) -> list[UnsentEvent]:
        """The oldest events that are to be published now.

        The same transaction first marks the events of the page before, at `now`. `replies` picks
        replies or all others. With `resume`, deferred events that are due are ready again, and with
        `next_try_by` also one of each destination of which none is due by that time.
        """
        request = PageRequest(
            limit=limit,
            marks=marks or PageMarks(),
            now=now,
            replies=replies,
            resume=resume,
            next_try_by=next_try_by,
        )
        return await self._group.submit(unsent_events.read_unsent, request, urgent=True)

    def next_unsent(
        self, limit: int, *, marks: PageMarks, now: float, replies: bool
    ) -> asyncio.Future[list[UnsentEvent]]:
        """As `unsent`, in the next transaction of this store that adds replies, or other events.

        Cancel the future to withdraw. The events of `marks` may be marked anyway.
        """
        request = PageRequest(limit=limit, marks=marks, now=now, replies=replies)
        return self._group.attach(
            "replies" if replies else "outbox", unsent_events.read_unsent, request
        )

    async def mark_page(self, marks: PageMarks, now: float) -> None:
        """Mark the events of a page as published, deferred or set aside at `now`, in seconds since
        the epoch."""
        await self._group.submit(outbox_marks.mark, (marks, now), urgent=True)

    async def outbox_depth(self) -> OutboxDepth:
        """How many events are unsent, and since when the oldest one is."""
        return await self._background.run(unsent_events.measure_depth)

    # What to read next

    async def find_live(self, app: str) -> dict[str, float]:
        """The app's live recordings by id, read in steps.

        The value is when the recording was first observed, in seconds since the epoch. It is 0 if
        the recording's state has changed since then.
        """
        found: dict[str, float] = {}
        after = ""
        while True:
            query = LiveQuery(app=app, after=after)
            page = await self._background.run(read_schedule.find_live, query)
            found |= page
            if len(page) < query.limit:
                return found
            after = next(reversed(page))

    async def find_tracked(self, ids: Collection[str]) -> dict[str, TrackedRecording]:
        """The recordings among these that the store has, by id."""
        return await self._background.run(read_schedule.find_tracked, ids)

    async def find_due_reads(self, query: DueQuery) -> DueReads:
        """Recordings to read one by one now."""
        return await self._background.run(due_reads.find_due, query)

    async def find_unlisted(self, query: UnlistedQuery) -> tuple[Recording, ...]:
        """Live recordings that a list lacked and that were not read since."""
        return await self._background.run(read_schedule.find_unlisted, query)

    async def find_overdue(self, query: OverdueQuery) -> tuple[Recording, ...]:
        """Open recordings that have not moved on for too long, at most 500."""
        return await self._background.run(read_schedule.find_overdue, query)

    async def schedule_overdue(self, query: OverdueQuery) -> None:
        """Schedule overdue recordings to be read before all others."""
        await self._background.run(read_schedule.schedule_overdue, query)

    async def schedule_read(self, request: ScheduledRead) -> None:
        """Schedule or postpone single reads of recordings, a few hundred at a time."""
        ids = sorted(request.ids)
        for first in range(0, len(ids), read_schedule.MAX_ROWS):
            chunk = ids[first : first + read_schedule.MAX_ROWS]
            part = ScheduledRead(ids=chunk, at=request.at, postpone=request.postpone)
            await self._background.run(read_schedule.schedule_reads, part, size=len(chunk))

    async def due_stops(self, query: DueStopsQuery) -> tuple[DueStop, ...]:
        """Recordings whose maximum duration has passed."""
        return await self._background.run(stop_times.find_due, query)

    async def move_stop(self, request: MovedStop) -> bool:
        """Schedule the next attempt to stop a recording. False if it was changed meanwhile."""
        return await self._background.run(stop_times.move, request)

    async def cursor(self, name: str) -> float | None:
        """The time of a cursor in seconds since the epoch. None if the cursor does not exist."""
        return await self._background.run(find_cursor, name)

    async def set_cursor(self, cursor: Cursor) -> None:
        """Move or remove a cursor."""
        await self._background.run(set_cursor, cursor)

    async def adopt_app(self, identity: AppIdentity) -> int:
        """Note which app has a name now. If it had another one with open recordings, return their
        number instead."""
        return await self._background.run(app_identities.adopt, identity)

    # Queries

    async def recordings(self, query_filter: RecordingsFilter) -> list[Recording]:
        """Recordings by filter, in the order of its `sort`."""
        return await self._background.run(queries.find_recordings, query_filter)

    async def count_by_status(self) -> dict[Status, int]:
        """How many open recordings there are, by status."""
        return await self._background.run(queries.count_by_status)

    async def count_by_app(self) -> dict[str, int]:
        """How many open recordings there are, by app. An app without any is left out."""
        return await self._background.run(queries.count_by_app)

    async def staleness(self) -> Staleness:
        """How long recordings have been unchanged, and how long scheduled reads have been due."""
        return await self._background.run(queries.measure_staleness)

    # Leases, budgets, pruning

    async def acquire_lease(self, request: LeaseRequest) -> bool:
        """Take or extend a lease; False if another owner holds it."""
        result = await self._group.run(leases.acquire, request, urgent=True)
        self._lacking_rights = result.lacking_rights
        return result.held

    async def release_leases(self, owner: str) -> None:
        """Release every lease of this owner."""
        await self._group.run(leases.release, owner)

    async def advance_prune_clock(self, pruning: Pruning) -> PruneClock:
        """Record a pruning. Returns the clock by which rows are old."""
        return await self._background.run(prune_clock.advance, pruning)

    async def correct_times(self, repair: Repair) -> bool:
        """Correct times that are too far ahead. Returns whether there may be more."""
        return await self._background.run(clock_repair.correct_times, repair)

    async def prune_leases(self, before: float) -> None:
        """Remove leases that ended before a time (seconds). Their owners died."""
        await self._background.run(leases.prune, before)

    async def acquire_tokens(self, name: str, request: TokenRequest) -> TokenGrant:
        """Take tokens for API requests from the budget `name`, at the time of `now`."""
        return await self._group.run(grant_tokens, name, request, self.now, last=True, urgent=True)

    async def prune_sent(self, request: PruneSentRequest) -> int | None:
        """Remove up to 500 old events. Returns where the next step begins, or None at the end."""
        return await self._background.run(pruning.prune_sent, request)

    async def prune_recordings(self, request: PruneRequest) -> PruneStep:
        """Look at up to 100 recordings that were closed before a time (seconds), and remove those
        that nothing waits for, with their files."""
        return await self._background.run(self._prune_recordings, request)

    async def prune_commands(self, request: PruneRequest) -> PruneStep:
        """Look at up to 500 commands that ended before a time (seconds), and remove those whose
        recordings are removed."""
        return await self._background.run(pruning.prune_commands, request)
