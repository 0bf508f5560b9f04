"""Queries about recordings that change nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import ENDED, LIVE, Recording
from worker.store.database.dialects import meeting_key, open_or_closed, unindexed
from worker.store.database.schema import recordings

_Part = sa.Select[tuple[str, float]]
_CHANGED: Final = recordings.c.changed_at
_STATES: Final[_Part] = sa.select(recordings.c.state, _CHANGED.label("sorted_by"))
_NEVER: Final = 1e12

Sort = Literal["changed", "unchanged", "age"]


class RecordingsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects recordings. A field that is None accepts any. At most `limit` are returned.

    `sort` gives their order, and the time that `before` and `after` (seconds since the epoch, not
    included) are about:

        changed    the last change, the latest first
        unchanged  the last change, the earliest first
        age        the first observation, the earliest first; only open recordings
    """

    limit: int = 100
    sort: Sort = "changed"
    before: float | None = None
    after: float | None = None
    status: Status | None = None
    app: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    start_id: str | None = None


class Staleness(msgspec.Struct, frozen=True, kw_only=True):
    """Since when recordings have been unchanged or due. Times are seconds since the epoch.

    `unchanged_since`: for each live status, when its longest unchanged recording last changed.
    `due_since`: when the most overdue scheduled read was due; None if no read is scheduled.
    """

    unchanged_since: dict[Status, float]
    due_since: float | None


# Counts


def count_by_status(connection: sa.Connection) -> dict[Status, int]:
    """Open recordings of each status."""
    rows = connection.execute(
        sa.select(recordings.c.status, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app, recordings.c.status)  # as in the index of open recordings
    )
    counts: Counter[Status] = Counter()
    for status, count in rows:
        counts[Status(status)] += count
    return counts


def count_by_app(connection: sa.Connection) -> dict[str, int]:
    """Open recordings of each app that has any."""
    rows = connection.execute(
        sa.select(recordings.c.app, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app)
    )
    return {row[0]: row[1] for row in rows}


def measure_staleness(connection: sa.Connection) -> Staleness:
    """How long recordings have been unchanged or due."""
    unchanged = {}
    for status in sorted(LIVE):
        since = sa.select(sa.func.min(recordings.c.changed_at)).where(recordings.c.status == status)
        if (found := connection.execute(since).scalar()) is not None:
            unchanged[status] = found
    due = sa.select(sa.func.min(recordings.c.read_at)).where(recordings.c.read_at.is_not(None))
    return Staleness(unchanged_since=unchanged, due_since=connection.execute(due).scalar())


# The recordings that a command may be about


def find_command_recordings(
    connection: sa.Connection,
    *,
    app: str | None,
    start_id: str | None,
    recording_id: str | None,
    meeting_id: str | None,
    live_only: bool,
    surplus_ids: Sequence[str],
) -> tuple[Recording, ...]:
    """The recordings of a start, else the recording with an id, else those of an app's meeting.

    `live_only` applies to a meeting only. `surplus_ids` are recordings of the start beyond its
    first one.
    """
    if start_id and surplus_ids:
        condition = open_or_closed(
            sa.or_(recordings.c.start_id == start_id, recordings.c.recording_id.in_(surplus_ids))
        )
    elif start_id:
        condition = open_or_closed(recordings.c.start_id == start_id)
    elif recording_id:
        # A publisher may write a UUID in upper case, but the API does not.
        spellings = sorted({recording_id, recording_id.lower()})
        condition = open_or_closed(recordings.c.recording_id.in_(spellings))
    elif meeting_id and live_only:
        live = unindexed(recordings.c.status).in_(sorted(LIVE))
        condition = sa.and_(recordings.c.open, _is_meeting(meeting_id, app), live)
    elif meeting_id:
        condition = open_or_closed(_is_meeting(meeting_id, app))
    else:
        return ()
    states = connection.execute(sa.select(recordings.c.state).where(condition)).scalars()
    return tuple(msgspec.json.decode(state, type=Recording) for state in states)


def find_start_id(connection: sa.Connection, recording_id: str) -> str | None:
    """The id of the start that began the recording; None if it is unknown."""
    return connection.execute(_START_ID, {"recording_id": recording_id}).scalar()


_START_ID = sa.select(recordings.c.start_id).where(
    open_or_closed(recordings.c.recording_id == sa.bindparam("recording_id"))
)


def _is_meeting(meeting_id: str, app: str | None) -> sa.ColumnElement[bool]:
    """Two apps may have different meetings with the same id."""
    return sa.and_(
        recordings.c.meeting_id == meeting_key(meeting_id), unindexed(recordings.c.app) == app
    )


# Recordings by filter


def find_recordings(connection: sa.Connection, query_filter: RecordingsFilter) -> list[Recording]:
    """Recordings by filter, in the order of its `sort`."""
    # As one statement, because between two a recording may move from one part into another.
    parts = [part.limit(query_filter.limit).subquery() for part in _parts(query_filter)]
    union = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    order = _ordered(union.c.sorted_by, query_filter)
    query = sa.select(union.c.state).order_by(order).limit(query_filter.limit)
    return [
        msgspec.json.decode(state, type=Recording) for state in connection.execute(query).scalars()
    ]


def _parts(query_filter: RecordingsFilter) -> list[_Part]:
    """Queries that find all selected recordings together. Each has an index that omits most of
    history."""
    if by_id := _by_id(query_filter):
        is_open = [recordings.c.open] if query_filter.sort == "age" else []
        return [_sorted(query_filter, *by_id, *is_open)]
    app, status = query_filter.app, query_filter.status
    of_status = [] if status is None else [recordings.c.status == status.value]
    of_app = [] if app is None else [recordings.c.app == app]
    if query_filter.sort == "age":
        live_only = [] if status is None else [unindexed(recordings.c.status) == status.value]
        return [_sorted(query_filter, recordings.c.open, *of_app, *live_only)]
    if app is None:
        order = _ordered(recordings.c.changed_at, query_filter)
        return [_STATES.where(*of_status, *_bounds(query_filter)).order_by(order)]
    ends = sorted(ENDED) if status is None else [status]
    live = _sorted(query_filter, recordings.c.open, *of_app, *of_status)
    return [live, *(_closed(query_filter, app, status) for status in ends)]


def _sorted(query_filter: RecordingsFilter, *conditions: sa.ColumnElement[bool]) -> _Part:
    # Order by an expression, because no index has its order. SQLite prefers an index that gives the
    # order for free to one that leaves few rows.
    by_age = query_filter.sort == "age"
    key = sa.func.coalesce(recordings.c.first_seen_at, 0.0) if by_age else _CHANGED + 0
    bounds = _bounds(query_filter, key) if by_age else _bounds(query_filter)
    states = sa.select(recordings.c.state, key.label("sorted_by"))
    return states.where(*conditions, *bounds).order_by(_ordered(key, query_filter))


def _closed(query_filter: RecordingsFilter, app: str, status: Status) -> _Part:
    # As a range, in the order of the whole index. With equality, PostgreSQL might use the time
    # alone, and read all rows that are newer than the recordings of an app that has become idle.
    columns = (recordings.c.app, recordings.c.status, recordings.c.changed_at)
    first = (sa.literal(app), sa.literal(status.value), sa.literal(query_filter.after or 0.0))
    last = (sa.literal(app), sa.literal(status.value), sa.literal(query_filter.before or _NEVER))
    position = sa.tuple_(*columns)
    return _STATES.where(
        sa.not_(recordings.c.open), position >= sa.tuple_(*first), position <= sa.tuple_(*last)
    ).order_by(*(_ordered(column, query_filter) for column in columns))


def _bounds(
    query_filter: RecordingsFilter, key: sa.ColumnElement[float] | None = None
) -> list[sa.ColumnElement[bool]]:
    key = _CHANGED if key is None else key
    bounds = []
    if query_filter.before is not None:
        bounds.append(key < query_filter.before)
    if query_filter.after is not None:
        bounds.append(key > query_filter.after)
    return bounds


def _ordered(key: sa.ColumnElement[Any], query_filter: RecordingsFilter) -> sa.ColumnElement[Any]:
    return key.desc() if query_filter.sort == "changed" else key.asc()


def _by_id(query_filter: RecordingsFilter) -> list[sa.ColumnElement[bool]]:
    """All conditions, if any is on an id; else none. An id selects few rows, so no other index
    is needed."""
    ids = {
        recordings.c.recording_id: query_filter.recording_id,
        recordings.c.start_id: query_filter.start_id,
        recordings.c.meeting_id: meeting_key(query_filter.meeting_id),
    }
    id_conditions = [column == value for column, value in ids.items() if value is not None]
    others = {recordings.c.status: query_filter.status, recordings.c.app: query_filter.app}
    other_conditions = [
        unindexed(column) == str(value) for column, value in others.items() if value is not None
    ]
    if not id_conditions:
        return []
    return [open_or_closed(sa.and_(*id_conditions)), *other_conditions]
