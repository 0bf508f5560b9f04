"""Which recordings to look at next: the live ones, those due to be read, those overdue."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import recordings

_LIVE = sorted(str(status) for status in LIVE)
MAX_ROWS = 500

AT_ONCE: Final = 0.0
"""Before everything else: a `read_at` that no list can settle."""


class TrackedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, when it is to be read by itself, and when a webhook last told of it.

    Times are seconds since the epoch; None: need not be, never did.
    """

    recording: Recording
    read_at: float | None = None
    last_webhook_at: float | None = None


class DueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` recordings of `app` that are to be read by `now`.

    Live ones that a webhook made due after `swept_at` can be read together from a list: when there
    are more than `few` of them, they are left to the next sweep, with None never. Of more than
    `limit`, up to `upload_limit` uploads come before all others. `exclude` are in hand already.
    """

    app: str
    now: float
    swept_at: float
    few: int | None
    limit: int
    upload_limit: int = 0
    exclude: Collection[str] = ()


class DueReads(msgspec.Struct, frozen=True, kw_only=True):
    """What to read now, uploads that had a turn and then the longest due first, and whether a sweep
    is worth while for the rest."""

    reads: tuple[Recording, ...]
    sweep_too: bool


class OverdueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Open recordings of `app` unchanged since before a time, or first seen before one. Each status
    has its own two, or none."""

    app: str
    now: float
    changed_before: Mapping[Status, float]
    first_seen_before: Mapping[Status, float]


class ScheduledRead(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to have recordings read at `at`: now, those that are open and not to be read yet, or
    with `postpone` later than was meant."""

    ids: Collection[str]
    at: float
    postpone: bool = False


def find_live(connection: sa.Connection, apps: Sequence[str]) -> list[dict[str, float]]:
    """Operation: each app's live recordings; when those known by one sight were seen, else 0."""
    seen_at = sa.case((recordings.c.version == 1, recordings.c.changed_at), else_=0.0)
    found: dict[str, dict[str, float]] = {app: {} for app in apps}
    rows = connection.execute(
        sa.select(recordings.c.app, recordings.c.recording_id, seen_at).where(
            recordings.c.open,
            recordings.c.app.in_(sorted(found)),
            recordings.c.status.in_(_LIVE),
        )
    )
    for app, recording_id, at in rows:
        found[app][recording_id] = at
    return [found[app] for app in apps]


def find_tracked(
    connection: sa.Connection, requests: Sequence[Collection[str]]
) -> list[dict[str, TrackedRecording]]:
    """Operation: those of each request's recordings that are known, by id."""
    return [_followed(connection, ids) for ids in requests]


def _followed(connection: sa.Connection, ids: Collection[str]) -> dict[str, TrackedRecording]:
    rows = connection.execute(_FOLLOWED, {"ids": ids})
    found = (
        TrackedRecording(recording=_decoded(state), read_at=read_at, last_webhook_at=told_at)
        for state, read_at, told_at in rows
    )
    return {one.recording.recording_id: one for one in found}


_FOLLOWED: Final = sa.select(recordings.c.state, recordings.c.read_at, recordings.c.told_at).where(
    open_or_closed(among(recordings.c.recording_id, "ids"))
)


def find_due(connection: sa.Connection, requests: Sequence[DueQuery]) -> list[DueReads]:
    """Operation: what to read by itself now."""
    return [_due(connection, wanted) for wanted in requests]


def _due(connection: sa.Connection, wanted: DueQuery) -> DueReads:
    due = sa.and_(recordings.c.app == wanted.app, recordings.c.read_at <= wanted.now)
    listable = sa.and_(
        recordings.c.status.in_(_LIVE),
        recordings.c.read_at > wanted.swept_at,
        recordings.c.told_at >= recordings.c.read_at,
    )
    sweep_too = wanted.few is not None and _are_more(connection, due, listable, than=wanted.few)
    query = sa.select(recordings.c.state).where(due)
    if sweep_too:
        query = query.where(sa.or_(recordings.c.told_at.is_(None), sa.not_(listable)))
    if wanted.exclude:
        query = query.where(recordings.c.recording_id.not_in(sorted(wanted.exclude)))
    reads = _longest_due(connection, query, wanted.limit)
    if wanted.upload_limit and len(reads) == wanted.limit:
        uploads = query.where(recordings.c.open, recordings.c.status == str(Status.UPLOADED))
        reads = _longest_due(connection, uploads, min(wanted.upload_limit, wanted.limit)) | reads
    return DueReads(reads=tuple(reads.values())[: wanted.limit], sweep_too=sweep_too)


def _longest_due(
    connection: sa.Connection, query: sa.Select[Any], limit: int
) -> dict[str, Recording]:
    rows = connection.execute(query.order_by(recordings.c.read_at).limit(limit))
    return {one.recording_id: one for one in map(_decoded, rows.scalars())}


def _are_more(connection: sa.Connection, *which: sa.ColumnElement[bool], than: int) -> bool:
    some = sa.select(sa.literal(1)).select_from(recordings).where(*which).limit(than + 1)
    counted = sa.select(sa.func.count()).select_from(some.subquery())
    return connection.execute(counted).scalar_one() > than


def find_overdue(
    connection: sa.Connection, requests: Sequence[OverdueQuery]
) -> list[tuple[Recording, ...]]:
    """Operation: recordings that have not moved on for too long, some at a time."""
    return [_overdue(connection, wanted) for wanted in requests]


def _overdue(connection: sa.Connection, wanted: OverdueQuery) -> tuple[Recording, ...]:
    query = sa.select(recordings.c.state).where(_has_not_moved(wanted)).limit(MAX_ROWS)
    return tuple(_decoded(state) for state in connection.execute(query).scalars())


def schedule_overdue(connection: sa.Connection, requests: Sequence[OverdueQuery]) -> list[None]:
    """Operation: let what has not moved on for too long be read at once.

    What cannot be read now and was put off is left as it is.
    """
    for wanted in requests:
        overdue = sa.update(recordings).where(_has_not_moved(wanted), _read_in_time(wanted.now))
        # Not as of now: then it might be left to a sweep, which cannot end it.
        if connection.execute(overdue.values(read_at=AT_ONCE)).rowcount:
            notify_on_commit(connection, "due")
    return [None] * len(requests)


def _has_not_moved(wanted: OverdueQuery) -> sa.ColumnElement[bool]:
    # A row that a version before this one wrote last does not say when it was first seen.
    known_since = sa.func.coalesce(recordings.c.first_seen_at, recordings.c.changed_at)
    too_long = sa.or_(
        *_each_before(recordings.c.changed_at, wanted.changed_before),
        *_each_before(known_since, wanted.first_seen_before),
    )
    return sa.and_(recordings.c.open, recordings.c.app == wanted.app, too_long)


def _each_before(
    since: sa.ColumnElement[float], moments: Mapping[Status, float]
) -> list[sa.ColumnElement[bool]]:
    return [
        sa.and_(recordings.c.status == str(status), since <= moment)
        for status, moment in moments.items()
    ]


def _read_in_time(now: float) -> sa.ColumnElement[bool]:
    read_at = recordings.c.read_at
    return sa.or_(read_at.is_(None), sa.and_(read_at > AT_ONCE, read_at <= now))


def schedule_reads(connection: sa.Connection, requests: Sequence[ScheduledRead]) -> list[None]:
    """Operation: note when recordings are to be read by themselves."""
    for wanted in requests:
        change = sa.update(recordings).values(read_at=wanted.at)
        if not wanted.postpone:
            notify_on_commit(connection, "due")
            change = change.where(recordings.c.read_at.is_(None), recordings.c.open)
        ids = sorted(wanted.ids)
        for first in range(0, len(ids), MAX_ROWS):
            some = ids[first : first + MAX_ROWS]
            theirs = recordings.c.recording_id.in_(some)
            connection.execute(change.where(open_or_closed(theirs)))
    return [None] * len(requests)


def _decoded(state: str) -> Recording:
    return msgspec.json.decode(state, type=Recording)
