"""Reading what is known of recordings."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.recording import LIVE, Recording
from worker.store.holdable import meeting_key
from worker.store.tables import recordings


class RecordingsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which recordings to show; None means any. `limit` is the most to return."""

    limit: int = 100
    status: Status | None = None
    app: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    start_id: str | None = None


def open_ones(connection: sa.Connection, apps: Sequence[str]) -> list[list[Recording]]:
    """Operation: each app's recordings that still need following."""
    found: dict[str, list[Recording]] = {app: [] for app in apps}
    rows = connection.execute(
        sa.select(recordings.c.app, recordings.c.state).where(
            recordings.c.open, recordings.c.app.in_(sorted(found))
        )
    )
    for app, state in rows:
        found[app].append(msgspec.json.decode(state, type=Recording))
    return [found[app] for app in apps]


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


class Oldest(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is followed has waited, as moments in seconds: of each live status that there
    is, when its longest unchanged recording came into it; and since when the one is due to be read
    by itself that is so the longest, None when none is to be read.
    """

    unchanged_since: dict[Status, float]
    due_since: float | None


def find_oldest(connection: sa.Connection, requests: Sequence[None]) -> list[Oldest]:
    """Operation: what has waited longest."""
    unchanged = {}
    for status in sorted(LIVE):
        since = sa.select(sa.func.min(recordings.c.changed_at)).where(recordings.c.status == status)
        if (found := connection.execute(since).scalar()) is not None:
            unchanged[status] = found
    due = sa.select(sa.func.min(recordings.c.read_at)).where(recordings.c.read_at.is_not(None))
    oldest = Oldest(unchanged_since=unchanged, due_since=connection.execute(due).scalar())
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
    query = sa.select(recordings.c.state)
    for column in ("status", "app", "meeting_id", "recording_id", "start_id"):
        value = getattr(wanted, column)
        if column == "meeting_id":
            value = meeting_key(value)
        if value is not None:
            query = query.where(recordings.c[column] == str(value))
    query = query.order_by(recordings.c.changed_at.desc()).limit(wanted.limit)
    return [
        msgspec.json.decode(state, type=Recording) for state in connection.execute(query).scalars()
    ]
