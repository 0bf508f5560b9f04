"""Reading what is known of recordings."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording
from worker.store.database.dialects import meeting_key, open_or_closed, unindexed
from worker.store.database.schema import recordings

_Part = sa.Select[tuple[str, float]]
_STATES: Final[_Part] = sa.select(recordings.c.state, recordings.c.changed_at)
_ENDS: Final = sorted(frozenset(Status) - LIVE)


class RecordingsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which recordings to show; None means any. `limit` is the most to return."""

    limit: int = 100
    status: Status | None = None
    app: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    start_id: str | None = None


def count_by_status(connection: sa.Connection, requests: Sequence[None]) -> list[dict[Status, int]]:
    """Operation: open recordings of each status."""
    rows = connection.execute(
        sa.select(recordings.c.status, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app, recordings.c.status)  # as in the index of open ones
    )
    counts: Counter[Status] = Counter()
    for status, count in rows:
        counts[Status(status)] += count
    return [counts] * len(requests)


class Staleness(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is followed has waited, as moments in seconds: of each live status that there
    is, when its longest unchanged recording came into it; and since when the one is due to be read
    by itself that is so the longest, None when none is to be read.
    """

    unchanged_since: dict[Status, float]
    due_since: float | None


def measure_staleness(connection: sa.Connection, requests: Sequence[None]) -> list[Staleness]:
    """Operation: what has waited longest."""
    unchanged = {}
    for status in sorted(LIVE):
        since = sa.select(sa.func.min(recordings.c.changed_at)).where(recordings.c.status == status)
        if (found := connection.execute(since).scalar()) is not None:
            unchanged[status] = found
    due = sa.select(sa.func.min(recordings.c.read_at)).where(recordings.c.read_at.is_not(None))
    oldest = Staleness(unchanged_since=unchanged, due_since=connection.execute(due).scalar())
    return [oldest] * len(requests)


def count_by_app(connection: sa.Connection, requests: Sequence[None]) -> list[dict[str, int]]:
    """Operation: open recordings of each app that has any."""
    rows = connection.execute(
        sa.select(recordings.c.app, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app)
    )
    counts = {row[0]: row[1] for row in rows}
    return [counts] * len(requests)


def find_recordings(
    connection: sa.Connection, filters: Sequence[RecordingsFilter]
) -> list[list[Recording]]:
    """Operation: recordings by filter, the most recently changed first."""
    return [_find(connection, wanted) for wanted in filters]


def _find(connection: sa.Connection, wanted: RecordingsFilter) -> list[Recording]:
    # One statement: between two, a recording may come from one part into another.
    parts = [one.limit(wanted.limit).subquery() for one in _parts(wanted)]
    every = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    query = sa.select(every.c.state).order_by(every.c.changed_at.desc()).limit(wanted.limit)
    return [
        msgspec.json.decode(state, type=Recording) for state in connection.execute(query).scalars()
    ]


def _parts(wanted: RecordingsFilter) -> list[_Part]:
    """Queries that find them all together, each by an index that leaves out most of history."""
    if by_id := _by_id(wanted):
        return [_sorted(*by_id)]
    status = [] if wanted.status is None else [recordings.c.status == wanted.status.value]
    if wanted.app is None:
        return [_STATES.where(*status).order_by(recordings.c.changed_at.desc())]
    ends = _ENDS if wanted.status is None else [wanted.status]
    live = _sorted(recordings.c.open, recordings.c.app == wanted.app, *status)
    return [live, *(_closed(wanted.app, one) for one in ends)]


def _sorted(*conditions: sa.ColumnElement[bool]) -> _Part:
    # By an expression, which no index is in the order of: SQLite would rather have the order for
    # nothing than few rows.
    return _STATES.where(*conditions).order_by((recordings.c.changed_at + 0).desc())


def _closed(app: str, status: Status) -> _Part:
    # As a range, in the order of the whole index: if it were said to be equal, PostgreSQL might
    # go by the time alone, through all that is newer than what an app had that is idle by now.
    place = sa.tuple_(recordings.c.app, recordings.c.status)
    this = sa.tuple_(sa.literal(app), sa.literal(status.value))
    columns = (recordings.c.app, recordings.c.status, recordings.c.changed_at)
    return _STATES.where(sa.not_(recordings.c.open), place >= this, place <= this).order_by(
        *(column.desc() for column in columns)
    )


def _by_id(wanted: RecordingsFilter) -> list[sa.ColumnElement[bool]]:
    """All conditions, if an id is among them: it leaves so few that the others need no index."""
    ids = {
        recordings.c.recording_id: wanted.recording_id,
        recordings.c.start_id: wanted.start_id,
        recordings.c.meeting_id: meeting_key(wanted.meeting_id),
    }
    given = [column == value for column, value in ids.items() if value is not None]
    others = {recordings.c.status: wanted.status, recordings.c.app: wanted.app}
    rest = [
        unindexed(column) == str(value) for column, value in others.items() if value is not None
    ]
    return [open_or_closed(sa.and_(*given)), *rest] if given else []
