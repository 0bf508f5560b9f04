"""Finds the live, tracked, unlisted and overdue recordings, and schedules reads.

`read_at` is when a recording must be read with a GET request. `domain/read_policy` decides about
that time, and `due_reads` finds the recordings that are due.
"""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording
from worker.store.database.dialects import among, open_or_closed, unindexed
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import recordings

MAX_ROWS: Final = 500

MAX_LIVE_ROWS: Final = 10_000
"""A hundred thousand live recordings are read in steps, because commands wait meanwhile."""

AT_ONCE: Final = 0.0
"""A `read_at` before all others. No sweep replaces this read."""

_LIVE: Final = sorted(str(status) for status in LIVE)


class TrackedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, when it must be read, and when the last webhook about it arrived.

    Times are seconds since the epoch. None: no read is scheduled, no webhook arrived.
    """

    recording: Recording
    read_at: float | None
    webhook_at: float | None


class OverdueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for open recordings of `app` that last changed, or were first seen, before a time.

    Each status has its own times, or none.
    """

    app: str
    now: float
    changed_before: Mapping[Status, float]
    first_seen_before: Mapping[Status, float]


class UnlistedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` live recordings of `app` that a list lacked and that were not
    read by `now`, those due for longest first."""

    app: str
    now: float
    limit: int = MAX_ROWS


class LiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` live recordings of `app`, in the order of their ids behind
    `after`."""

    app: str
    after: str
    limit: int = MAX_LIVE_ROWS


class ScheduledRead(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to read recordings at `at`.

    Without `postpone`, only open recordings are scheduled that have no read scheduled. With
    `postpone`, `at` replaces the time of every recording.
    """

    ids: Collection[str]
    at: float
    postpone: bool = False


# Live and tracked recordings


def find_live(connection: sa.Connection, query: LiveQuery) -> dict[str, float]:
    """A page of an app's live recordings, by id.

    The value is when the recording was first observed, in seconds. It is 0 if the recording's state
    has changed since then.
    """
    # SQLite has an index of the ids of open recordings. That of PostgreSQL has closed ones too.
    is_sqlite = connection.dialect.name == "sqlite"
    recording_id = recordings.c.recording_id if is_sqlite else unindexed(recordings.c.recording_id)
    first_observed_at = sa.case((recordings.c.version == 1, recordings.c.changed_at), else_=0.0)
    page = (
        sa.select(recordings.c.recording_id, first_observed_at.label("first_observed_at"))
        .where(
            sa.text("open = 1") if is_sqlite else recordings.c.open,
            recordings.c.app == query.app,
            recordings.c.status.in_(_LIVE),
            recording_id > query.after,
        )
        .order_by(recording_id)
        .limit(query.limit)
    )
    return {row.recording_id: row.first_observed_at for row in connection.execute(page)}


def find_tracked(connection: sa.Connection, ids: Collection[str]) -> dict[str, TrackedRecording]:
    """The recordings among these that the store has, by id."""
    tracked = (
        TrackedRecording(recording=_decoded(state), read_at=read_at, webhook_at=webhook_at)
        for state, read_at, webhook_at in connection.execute(_TRACKED, {"ids": ids})
    )
    return {read.recording.recording_id: read for read in tracked}


_TRACKED: Final = sa.select(
    recordings.c.state, recordings.c.read_at, recordings.c.webhook_at
).where(open_or_closed(among(recordings.c.recording_id, "ids")))


# Unlisted recordings


def find_unlisted(connection: sa.Connection, query: UnlistedQuery) -> tuple[Recording, ...]:
    """Live recordings that became due because a list lacked them.

    Those are left out that a webhook made due, that the API answered with 404, or that are overdue.
    """
    states = (
        sa.select(recordings.c.state)
        .where(
            recordings.c.app == query.app,
            recordings.c.read_at <= query.now,
            recordings.c.read_at > AT_ONCE,
            recordings.c.status.in_(_LIVE),
            sa.or_(
                recordings.c.webhook_at.is_(None), recordings.c.webhook_at < recordings.c.read_at
            ),
        )
        .order_by(recordings.c.read_at)
        .limit(query.limit)
    )
    found = (_decoded(state) for state in connection.execute(states).scalars())
    return tuple(recording for recording in found if recording.missing_since is None)


# Overdue recordings


def find_overdue(connection: sa.Connection, query: OverdueQuery) -> tuple[Recording, ...]:
    """Recordings that have made no progress for too long, at most 500."""
    states = sa.select(recordings.c.state).where(_is_overdue(query)).limit(MAX_ROWS)
    return tuple(_decoded(state) for state in connection.execute(states).scalars())


def schedule_overdue(connection: sa.Connection, query: OverdueQuery) -> None:
    """Schedule overdue recordings before all others.

    If the read of a recording has been postponed, its time does not change.
    """
    overdue = sa.update(recordings).where(_is_overdue(query), _may_be_moved(query.now))
    # Not at `now`, because a sweep might replace that read and cannot end the recording.
    if connection.execute(overdue.values(read_at=AT_ONCE)).rowcount:
        notify_on_commit(connection, "due")


def _is_overdue(query: OverdueQuery) -> sa.ColumnElement[bool]:
    # A row that an older version wrote last has no `first_seen_at`.
    first_seen_at = sa.func.coalesce(recordings.c.first_seen_at, recordings.c.changed_at)
    is_late = sa.or_(
        *_each_before(recordings.c.changed_at, query.changed_before),
        *_each_before(first_seen_at, query.first_seen_before),
    )
    return sa.and_(recordings.c.open, recordings.c.app == query.app, is_late)


def _each_before(
    since: sa.ColumnElement[float], moments: Mapping[Status, float]
) -> list[sa.ColumnElement[bool]]:
    return [
        sa.and_(recordings.c.status == str(status), since <= moment)
        for status, moment in moments.items()
    ]


def _may_be_moved(now: float) -> sa.ColumnElement[bool]:
    """Whether `AT_ONCE` would bring the read forward without undoing a postponement."""
    read_at = recordings.c.read_at
    return sa.or_(read_at.is_(None), sa.and_(read_at > AT_ONCE, read_at <= now))


def schedule_reads(connection: sa.Connection, request: ScheduledRead) -> None:
    """Schedule or postpone single reads."""
    change = sa.update(recordings).values(read_at=request.at)
    if not request.postpone:
        notify_on_commit(connection, "due")
        change = change.where(recordings.c.read_at.is_(None), recordings.c.open)
    chosen = open_or_closed(among(recordings.c.recording_id, "ids"))
    connection.execute(change.where(chosen), {"ids": request.ids})


def _decoded(state: str) -> Recording:
    return msgspec.json.decode(state, type=Recording)
