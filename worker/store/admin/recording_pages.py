"""Pages of recordings, the latest change first. Each page is read from indexes.

A page continues behind the last row of the previous page. So every page costs the same, and rows
that change meanwhile only move to the front.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording
from worker.store.database.schema import recordings

MAX_PAGE_ROWS: Final = 200
_NEVER: Final = 1e12

_Part = sa.Select[tuple[str, float, str]]
_ROW: Final[_Part] = sa.select(
    recordings.c.state, recordings.c.changed_at, recordings.c.recording_id
)


class PageCursor(msgspec.Struct, frozen=True, array_like=True):
    """A position between two rows: behind the recording that last changed then."""

    changed_at: float
    recording_id: str


class RecordingsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Recordings, the latest change first. `next` is None behind the last one."""

    recordings: tuple[Recording, ...]
    next: PageCursor | None


def read_page(
    connection: sa.Connection,
    *,
    statuses: Iterable[Status],
    app: str | None = None,
    after: PageCursor | None = None,
    limit: int = 50,
) -> RecordingsPage:
    """One page of the recordings that have one of these statuses."""
    limit = min(limit, MAX_PAGE_ROWS)
    parts = [part for status in sorted(set(statuses)) for part in _parts(status, app, after)]
    if not parts:
        return RecordingsPage(recordings=(), next=None)
    limited = [sa.select(part.limit(limit + 1).subquery()) for part in parts]
    union = sa.union_all(*limited).subquery()
    query = (
        sa.select(union)
        .order_by(union.c.changed_at.desc(), union.c.recording_id.desc())
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    shown = rows[:limit]
    return RecordingsPage(
        recordings=tuple(msgspec.json.decode(row.state, type=Recording) for row in shown),
        next=PageCursor(shown[-1].changed_at, shown[-1].recording_id)
        if len(rows) > limit
        else None,
    )


def _parts(status: Status, app: str | None, after: PageCursor | None) -> list[_Part]:
    """The rows of a status. Live ones are either few of an app, or found soon."""
    if app is None:
        return [_in_order(status, after)]
    if status in LIVE:
        return [_in_order(status, after, recordings.c.open, recordings.c.app == app)]
    return [_awaiting_files(status, app, after), _closed(status, app, after)]


def _in_order(
    status: Status, after: PageCursor | None, *conditions: sa.ColumnElement[bool]
) -> _Part:
    # As a range, in the order of the whole index. With equality, a planner might use the time
    # alone, and read all rows that changed later and have another status.
    columns = (recordings.c.status, recordings.c.changed_at)
    position, last = sa.tuple_(*columns), _NEVER if after is None else after.changed_at
    of_status = sa.literal(status.value)
    return _ROW.where(
        *conditions,
        position >= sa.tuple_(of_status, sa.literal(0.0)),
        position <= sa.tuple_(of_status, sa.literal(last)),
        *(() if after is None else (_is_behind(recordings.c.changed_at, after),)),
    ).order_by(*(column.desc() for column in (*columns, recordings.c.recording_id)))


def _awaiting_files(status: Status, app: str, after: PageCursor | None) -> _Part:
    """Recordings that have ended and are still open. Uses an expression, so that no index of the
    time is used, which contains all of history."""
    changed_at = recordings.c.changed_at + 0
    conditions = [
        recordings.c.open,
        recordings.c.app == app,
        recordings.c.status == status.value,
        *(() if after is None else (_is_behind(changed_at, after),)),
    ]
    return _ROW.where(*conditions).order_by(changed_at.desc(), recordings.c.recording_id.desc())


def _closed(status: Status, app: str, after: PageCursor | None) -> _Part:
    # As a range, in the order of the whole index. With equality, a planner might use the time
    # alone, and read all rows that are newer than those of an app that has become idle.
    columns = (recordings.c.app, recordings.c.status, recordings.c.changed_at)
    position = sa.tuple_(*columns)
    of_app = (sa.literal(app), sa.literal(status.value))
    last = sa.literal(_NEVER if after is None else after.changed_at)
    conditions = [
        sa.not_(recordings.c.open),
        position >= sa.tuple_(*of_app, sa.literal(0.0)),
        position <= sa.tuple_(*of_app, last),
        *(() if after is None else (_is_behind(recordings.c.changed_at, after),)),
    ]
    order = [column.desc() for column in (*columns, recordings.c.recording_id)]
    return _ROW.where(*conditions).order_by(*order)


def _is_behind(changed_at: sa.ColumnElement[float], after: PageCursor) -> sa.ColumnElement[bool]:
    position = sa.tuple_(changed_at, recordings.c.recording_id)
    return position < sa.tuple_(sa.literal(after.changed_at), sa.literal(after.recording_id))
