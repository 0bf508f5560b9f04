"""When to stop recordings of limited duration: which are due, and who may try next.

`stop_at` of a row is when the next attempt is due. `domain/max_duration` sets it and removes it. An
attempt postpones it before it calls the API, so no other replica makes one at the same time.
"""

from collections.abc import Collection
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Recording
from worker.store.database.dialects import among, open_or_closed, texts
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import recordings


class DueStopsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` recordings of `app` that must be stopped at `now`.

    Recordings in `exclude` are being stopped already.
    """

    app: str
    now: float
    limit: int
    exclude: Collection[str] = ()


class DueStop(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that must be stopped since `stop_at`, in seconds since the epoch."""

    recording: Recording
    stop_at: float


class MovedStop(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to make the next attempt at `stop_at`, None for never, unless `before` has changed."""

    recording_id: str
    before: float
    stop_at: float | None


def find_due(connection: sa.Connection, query: DueStopsQuery) -> tuple[DueStop, ...]:
    """The recordings to stop now, those due for longest first."""
    values = {
        "app": query.app,
        "now": query.now,
        "exclude": texts(connection, query.exclude),
        "limit": query.limit,
    }
    return tuple(
        DueStop(recording=msgspec.json.decode(state, type=Recording), stop_at=stop_at)
        for state, stop_at in _DUE.rows(connection, values)
    )


_DUE: Final = DirectStatement(
    sa.select(recordings.c.state, recordings.c.stop_at)
    .where(
        recordings.c.app == sa.bindparam("app"),
        recordings.c.stop_at <= sa.bindparam("now"),
        sa.not_(among(recordings.c.recording_id, "exclude")),
    )
    .order_by(recordings.c.stop_at)
    .limit(sa.bindparam("limit"))
)


def move(connection: sa.Connection, request: MovedStop) -> bool:
    """Schedule the next attempt. False if another replica did, or nothing must be stopped any
    more."""
    moved = connection.execute(
        sa.update(recordings)
        .where(
            open_or_closed(recordings.c.recording_id == request.recording_id),
            recordings.c.stop_at == request.before,
        )
        .values(stop_at=request.stop_at)
    )
    return moved.rowcount > 0
