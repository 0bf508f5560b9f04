"""The present state: the overview, and the figures that only the console shows.

Every query uses an index without history, or reads a limited number of rows.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import Recording
from worker.store.admin.archive_pages import ExpiringFile, next_expiry
from worker.store.admin.overview import Overview, read_overview
from worker.store.archive_reading import ArchiveDepth, measure
from worker.store.database.schema import UNFINISHED, inbox, leases, parked, recordings
from worker.store.leases import LEADER
from worker.store.queries import Staleness

MAX_COUNTED: Final = 10_000
"""The count of unfinished commands stops here."""

MAX_TIMERS: Final = 8


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that the worker stops at `stop_at`, because its start limits its duration."""

    recording_id: str
    app: str
    meeting_id: str | None
    stop_at: float


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A replica that held or asked for the lease lately."""

    owner: str
    leads: bool


class LongestUnchanged(msgspec.Struct, frozen=True, kw_only=True):
    """The recording that has had its status for longest, and since when."""

    status: Status
    recording_id: str
    since: float


class LiveNow(msgspec.Struct, frozen=True, kw_only=True):
    """The present state. Times are seconds since the epoch.

    `unfinished` counts the commands that have arrived and not ended. `next_due_at` is when the
    first waiting command stops waiting, if nothing ends its wait before.
    """

    overview: Overview
    longest: tuple[LongestUnchanged, ...]
    unfinished: int
    timers: tuple[Timer, ...]
    next_due_at: float | None
    replicas: tuple[Replica, ...]
    archive: ArchiveDepth
    next_expiry: ExpiringFile | None


def read_now(connection: sa.Connection) -> LiveNow:
    """The present state, by the clock of the replicas."""
    overview = read_overview(connection)
    return LiveNow(
        overview=overview,
        longest=tuple(_longest(connection, overview.staleness)),
        unfinished=_count_unfinished(connection),
        timers=_timers(connection, sorted({count.app for count in overview.recordings})),
        next_due_at=connection.execute(sa.select(sa.func.min(parked.c.due_at))).scalar(),
        replicas=_replicas(connection, overview.at),
        archive=measure(connection),
        next_expiry=next_expiry(connection, overview.at),
    )


def _longest(connection: sa.Connection, staleness: Staleness) -> Iterator[LongestUnchanged]:
    for status, since in sorted(staleness.unchanged_since.items()):
        parameters = {"status": status.value, "since": since}
        recording_id = connection.execute(_LONGEST, parameters).scalar()
        if recording_id is not None:
            yield LongestUnchanged(status=status, recording_id=recording_id, since=since)


# By a time that is already known. In the order of the time, PostgreSQL might read through all
# finished recordings to find the first live one.
_LONGEST: Final = (
    sa.select(recordings.c.recording_id)
    .where(
        recordings.c.status == sa.bindparam("status"),
        recordings.c.changed_at == sa.bindparam("since"),
    )
    .limit(1)
)


def _count_unfinished(connection: sa.Connection) -> int:
    rows = sa.select(inbox.c.slot).where(UNFINISHED).limit(MAX_COUNTED).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()


def _timers(connection: sa.Connection, apps: Sequence[str]) -> tuple[Timer, ...]:
    found = [
        _timer(state, stop_at)
        for app in apps
        for state, stop_at in connection.execute(_NEXT_STOPS, {"app": app})
    ]
    return tuple(sorted(found, key=lambda timer: timer.stop_at)[:MAX_TIMERS])


def _timer(state: str, stop_at: float) -> Timer:
    recording = msgspec.json.decode(state, type=Recording)
    return Timer(
        recording_id=recording.recording_id,
        app=recording.app,
        meeting_id=recording.meeting_id,
        stop_at=stop_at,
    )


_NEXT_STOPS: Final = (
    sa.select(recordings.c.state, recordings.c.stop_at)
    .where(recordings.c.app == sa.bindparam("app"), recordings.c.stop_at.is_not(None))
    .order_by(recordings.c.stop_at)
    .limit(MAX_TIMERS)
)


def _replicas(connection: sa.Connection, now: float) -> tuple[Replica, ...]:
    rows = connection.execute(
        sa.select(leases.c.name, leases.c.owner).where(leases.c.until > now)
    ).all()
    leaders = {row.owner for row in rows if row.name == LEADER}
    owners = sorted({row.owner for row in rows}, key=lambda owner: (owner not in leaders, owner))
    return tuple(Replica(owner=owner, leads=owner in leaders) for owner in owners)
