"""Recordings that were not started here, adopted so that their events go out as well.

Those that are live turn up in the sweep. Those that began and ended between two sweeps are found
by listing what has ended from the newest on, back to the mark that the last time has left.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, get_args

import structlog

from recording_schemas import Kind, Status
from worker.domain.command_keys import start_slot
from worker.domain.errors import NotFound
from worker.domain.recording import LIVE, Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording
from worker.store.cursors import Cursor, external_recordings_cursor
from worker.store.store import Store
from worker.tracking.pagination import PageIterator, oldest

MARGIN_SECONDS: Final = 300.0
"""How much later than others a recording may come to be listed."""

ENDED: Final = frozenset(Status) - LIVE

GIVEN_UP_SECONDS: Final = 86_400.0
"""Whatever is live so long before the horizon was given up, and may have been forgotten since."""

CLOCK_SECONDS: Final = timedelta(seconds=1)
"""How exactly the API's clock is known."""


class ExternalRecordingDiscovery:
    """Adopts one app's recordings of others. `committed` is told that events wait."""

    def __init__(
        self,
        store: Store,
        api: RealtimeKitClient,
        *,
        app: str,
        now: Callable[[], datetime],
        committed: Callable[[], None],
    ) -> None:
        self._store = store
        self._api = api
        self._app = app
        self._now = now
        self._committed = committed
        self._mark = f"followed/{app}"
        self._rumour = external_recordings_cursor(app)
        # When those were invoked that a start in work may have made.
        self._left_to_starts: list[float] = []

    async def was_announced_since(self, moment: float) -> bool:
        """Whether a webhook told of one since then (seconds)."""
        at = await self._store.cursor(self._rumour)
        return at is not None and at > moment

    async def begin(self) -> float | None:
        """Begin with the live ones. Returns the horizon: before when (seconds, by the API's clock)
        all are known; None: nobody looked yet."""
        self._left_to_starts = []
        mark = await self._store.cursor(self._mark)
        return None if mark is None else mark - MARGIN_SECONDS

    async def catch_up(
        self,
        horizon: float | None,
        began_at: datetime,
        newest: datetime | None,
        go_on: Callable[[], bool],
    ) -> int:
        """Adopt all that have ended since the horizon, and move it. How many requests that took.

        The live ones were asked for from `began_at` on, and adopted; the newest of them was invoked
        at `newest`. The first time ever it only begins here: what ended before is nobody's
        business.
        """
        if horizon is None:
            mark = Cursor(name=self._mark, at=self._there(began_at) + MARGIN_SECONDS)
            await self._store.set_cursor(mark)
            return 0
        pages = PageIterator(self._api, statuses=sorted(ENDED))
        asked_at = self._now()
        async for page in pages.newest_first():
            await self.adopt(page.recordings, horizon, asked_at)
            first = oldest(page)
            if first is not None and first.timestamp() < horizon:
                break
            if not go_on():
                return pages.asked
            asked_at = self._now()
        seen = [one.timestamp() for one in (newest, pages.newest) if one is not None]
        await self._move(horizon, began_at, seen)
        return pages.asked

    async def _move(self, horizon: float, began_at: datetime, seen: Sequence[float]) -> None:
        # Of what began after the live ones were asked for, only some was seen, however long that
        # is ago. A time that is still to come would hide whatever begins till then.
        began = self._there(began_at)
        known_until = min(max(seen, default=horizon), began, *self._left_to_starts)
        # Never back: the first horizon parts what is our business from what is not.
        known_until = max(known_until, min(horizon, began) + MARGIN_SECONDS)
        await self._store.set_cursor(Cursor(name=self._mark, at=known_until))

    def _there(self, moment: datetime) -> float:
        """What the API's clock showed at that moment of ours, or a little less."""
        now = self._now()
        there = self._api.server_time() or now
        return (there - (now - moment) - CLOCK_SECONDS).timestamp()

    async def adopt_live(
        self, listed: Sequence[RecordingSnapshot], horizon: float | None, asked_at: datetime
    ) -> None:
        """Adopt those that are not known, also from before the horizon: a live one may have stood
        on no page that was read, or could not be read itself."""
        await self.adopt(listed, None if horizon is None else horizon - GIVEN_UP_SECONDS, asked_at)

    async def adopt(
        self, listed: Sequence[RecordingSnapshot], horizon: float | None, asked_at: datetime
    ) -> None:
        """Adopt those that are not known and not older than the horizon.

        Not those that may be ours: a start that is not finished yet will claim them, or leave them
        to a later look.
        """
        young = [one for one in listed if not _is_before(one, horizon)]
        # In this order: what is claimed now is known once its start is over.
        held = await self._store.starting([slot for one in young for slot in self._slots(one)])
        known = await self._store.tracked([one.recording_id for one in young])
        strange = [one for one in young if one.recording_id not in known]
        mine = [one for one in strange if held.intersection(self._slots(one))]
        seen = [
            sight
            for one in strange
            if one not in mine and (sight := await self._sight(one, asked_at)) is not None
        ]
        if seen:
            structlog.get_logger().info("adopted", app=self._app, recordings=len(seen))
            await self._store.apply(seen)
            self._committed()
        self._left_to_starts += _times(mine)

    def _slots(self, one: RecordingSnapshot) -> list[str]:
        """Those of the starts that may have made it."""
        if one.meeting_id is None or one.start_reason == "RECORD_ON_START":
            return []
        kinds: Iterable[Kind] = get_args(Kind) if one.kind is None else (one.kind,)
        return [start_slot(self._app, one.meeting_id, kind) for kind in kinds]

    async def _sight(self, one: RecordingSnapshot, asked_at: datetime) -> Observation | None:
        if one.kind is None:  # a list may not tell, and a kind once told stays
            return await self._read(one.recording_id)
        return Observation(
            snapshot=one,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=self._now(),
            app=self._app,
        )

    async def _read(self, recording_id: str) -> Observation | None:
        try:
            return await fetch_recording(
                self._api, recording_id, None, app=self._app, observed_by="sweep", now=self._now
            )
        except NotFound:
            return None


def _times(listed: Iterable[RecordingSnapshot]) -> list[float]:
    return [one.invoked_time.timestamp() for one in listed if one.invoked_time is not None]


def _is_before(one: RecordingSnapshot, horizon: float | None) -> bool:
    invoked = one.invoked_time
    return horizon is not None and invoked is not None and invoked.timestamp() < horizon
