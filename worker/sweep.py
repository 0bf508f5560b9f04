"""Follows recordings by listing what is live, and reads those that ended.

One list request covers a page of recordings. A recording that we follow and that is not in the
list of live ones has ended, or moved between two pages, or is not listed yet: it is read by
itself, which an ended one needs anyway for its files.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from recording_schemas import ErrorInfo, Status
from worker.errors import ApiError, NotFound, Refused, StoreUnavailable
from worker.harvest import list_whole, read_whole
from worker.outage import Outage
from worker.realtimekit import RealtimeKit
from worker.recording import LIVE, STALLED, Recording, Seen, observe
from worker.snapshot import Snapshot
from worker.store import Store
from worker.telemetry import Metrics

MOST_AT_ONCE: Final = 500
"""Changes in one transaction."""

READS_AT_ONCE: Final = 8
FIRST_LOOK_SECONDS: Final = 1.0


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long the sweep believes in something, in seconds."""

    files_wait: float
    invoked_timeout: float
    vanished_after: float


class Sweep:
    """Follows one app's recordings."""

    def __init__(
        self,
        store: Store,
        api: RealtimeKit,
        patience: Patience,
        *,
        app: str,
        outage: Outage,
        metrics: Metrics,
        now: Callable[[], datetime],
        committed: Callable[[], None],
    ) -> None:
        self._store = store
        self._api = api
        self._patience = patience
        self._app = app
        self._outage = outage
        self._metrics = metrics
        self._now = now
        self._committed = committed
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        # Of recordings whose files are looked for: when to look next, and the pause after that.
        self._looks: dict[str, tuple[datetime, float]] = {}
        self._missing_since: dict[str, datetime] = {}

    async def run(self, interval_seconds: float, leads: Callable[[], bool]) -> None:
        """Sweep for ever. An API or a store that is away is met again at the next interval."""
        while True:
            if leads() and self._outage.may_ask():
                await self._counted()
            await asyncio.sleep(interval_seconds)

    async def _counted(self) -> None:
        started, failed = time.perf_counter(), False
        try:
            await self.once()
        except (ApiError, StoreUnavailable) as error:
            failed = True
            structlog.get_logger().warning("sweep_failed", app=self._app, reason=str(error))
        self._metrics.swept(time.perf_counter() - started, failed=failed)

    async def once(self) -> None:
        """One sweep: absorb what changed among the live, then read what is no longer listed."""
        following = {one.recording_id: one for one in await self._store.open_recordings(self._app)}
        self._forget_all_but(following)
        if not following:
            return
        live = {key: one for key, one in following.items() if one.status in LIVE}
        asked_at = self._now()
        listed = await self._list_live() if live else {}
        seen = [self._saw(listed[key], asked_at) for key in live.keys() & listed.keys()]
        changed = [one for one in seen if _is_news(live[one.snapshot.recording_id], one)]
        stalled = [live[one.recording_id] for one in listed.values() if self._is_stalled(one, live)]
        unlisted = [one for key, one in live.items() if key not in listed]
        due = [one for one in following.values() if one.status not in LIVE and self._is_due(one)]
        await self._absorb(changed)
        await asyncio.gather(
            *(self._follow_up(self._read, one) for one in (*unlisted, *due)),
            *(self._follow_up(self._end_stalled, one) for one in stalled),
        )
        structlog.get_logger().debug(
            "sweep", app=self._app, live=len(live), listed=len(listed), read=len(unlisted)
        )

    async def _follow_up(
        self, look: Callable[[Recording], Awaitable[Seen | None]], known: Recording
    ) -> None:
        async with self._reads:
            # The API may have gone away since the sweep began.
            seen = await look(known) if self._outage.may_ask() else None
        if seen is not None:
            await self._absorb([seen])

    async def _list_live(self) -> dict[str, Snapshot]:
        listed = await list_whole(self._api, statuses=sorted(LIVE))
        return {one.recording_id: one for one in listed}

    def _saw(self, snapshot: Snapshot, asked_at: datetime) -> Seen:
        return Seen(
            snapshot=snapshot,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=self._now(),
            app=self._app,
        )

    async def _absorb(self, seen: list[Seen]) -> None:
        for first in range(0, len(seen), MOST_AT_ONCE):
            absorbed = await self._store.absorb(seen[first : first + MOST_AT_ONCE])
            if absorbed.events:
                self._committed()

    # One recording by itself

    async def _read(self, known: Recording) -> Seen | None:
        """A look at one recording and its files; None when the API could not be asked."""
        try:
            seen = await read_whole(
                self._api,
                known.recording_id,
                known,
                app=self._app,
                observed_by="sweep",
                now=self._now,
                last_look=self._is_last_look(known),
            )
        except NotFound:
            return self._vanished(known)
        except ApiError as error:
            structlog.get_logger().warning(
                "read_failed", recording_id=known.recording_id, reason=str(error)
            )
            return None
        self._missing_since.pop(known.recording_id, None)
        return seen

    def _is_due(self, known: Recording) -> bool:
        """Looking for files again is put off for longer each time."""
        now = self._now()
        at, pause = self._looks.get(known.recording_id, (now, FIRST_LOOK_SECONDS))
        if now < at and not self._is_last_look(known):
            return False
        self._looks[known.recording_id] = (now + timedelta(seconds=pause), pause * 2)
        return True

    def _is_last_look(self, known: Recording) -> bool:
        since = known.files_awaited_since
        wait = timedelta(seconds=self._patience.files_wait)
        return since is not None and self._now() - since >= wait

    def _vanished(self, known: Recording) -> Seen | None:
        """404 for a recording that was there. The API may be behind, so not at the first time."""
        since = self._missing_since.setdefault(known.recording_id, self._now())
        if self._now() - since < timedelta(seconds=self._patience.vanished_after):
            return None
        if known.status not in LIVE:  # uploaded, and gone before its files were found
            return self._concluded(known, known.status, None)
        error = ErrorInfo(code="vanished", message="the API no longer knows this recording")
        return self._concluded(known, Status.ERRORED, error)

    def _is_stalled(self, listed: Snapshot, live: Mapping[str, Recording]) -> bool:
        """INVOKED now, as it has been for too long; what began while nobody looked is not."""
        known = live.get(listed.recording_id)
        if known is None or known.changed_at is None:
            return False
        timeout = timedelta(seconds=self._patience.invoked_timeout)
        both_invoked = known.status is listed.status is Status.INVOKED
        return both_invoked and self._now() - known.changed_at >= timeout

    async def _end_stalled(self, known: Recording) -> Seen | None:
        """INVOKED for too long: try to stop it, so that it does not begin after all.

        The list may lag behind, and a stop cannot be taken back: the recording itself decides.
        """
        seen = await self._read(known)
        if seen is None or seen.snapshot.status is not Status.INVOKED:
            return seen
        stalled = ErrorInfo(
            code=STALLED, message=f"still INVOKED after {self._patience.invoked_timeout:g} s"
        )
        asked_at = self._now()
        try:
            snapshot = await self._api.act(known.recording_id, "stop")
        except Refused:
            return self._concluded(known, Status.ERRORED, stalled)
        except ApiError as error:
            structlog.get_logger().warning(
                "stop_failed", recording_id=known.recording_id, reason=str(error)
            )
            return None
        if snapshot.status is Status.INVOKED:
            return self._concluded(known, Status.ERRORED, stalled)
        return self._saw(snapshot, asked_at)

    def _concluded(self, known: Recording, status: Status, error: ErrorInfo | None) -> Seen:
        now = self._now()
        return Seen(
            snapshot=Snapshot(recording_id=known.recording_id, status=status, kind=known.kind),
            observed_by="sweep",
            asked_at=now,
            observed_at=now,
            app=self._app,
            files=(),
            files_final=True,
            concluded=error,
        )

    def _forget_all_but(self, following: Iterable[str]) -> None:
        """Notes about what is no longer followed would pile up."""
        kept = set(following)
        for notes in (self._looks, self._missing_since):
            for key in notes.keys() - kept:
                del notes[key]


def _is_news(known: Recording, seen: Seen) -> bool:
    """Most of a sweep tells nothing new; that is found out without the store."""
    return observe(known, seen).after != known
