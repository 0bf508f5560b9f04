"""What a webhook told: taken in for recordings that are known, noted for an app that is followed.

Nothing here asks the API. What a webhook cannot settle leaves the recording due to be read.
"""

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from worker.recording import Seen
from worker.store.absorbing import absorb_all
from worker.store.following import Mark, set_marks
from worker.store.news import leave
from worker.store.tables import recordings


class Hear(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook's sight of a recording. `follow_all`: its app is followed as a whole, so that one
    nobody knows is worth a look at the list."""

    seen: Seen
    follow_all: bool = False


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: whether the recording is known, how many events that made, and whether
    it is now due to be read."""

    known: bool
    events: int = 0
    due: bool = False


def stranger_mark(app: str) -> str:
    """The mark that says when a recording was last told of that nobody knows."""
    return f"stranger/{app}"


def hear_all(connection: sa.Connection, requests: Sequence[Hear], *, source: str) -> list[Heard]:
    """Operation: take in what each webhook tells, in order."""
    known = _lock_known(connection, {_id_of(one) for one in requests})
    sights = [[one.seen] if _id_of(one) in known else [] for one in requests]
    absorbed = absorb_all(connection, sights, source=source)
    latest = {_id_of(one): one.seen.observed_at.timestamp() for one in requests}
    due = _note_told(connection, {key: at for key, at in latest.items() if key in known})
    if due:
        leave(connection, "due")
    _note_strangers(connection, [one for one in requests if _id_of(one) not in known])
    return [
        Heard(known=_id_of(one) in known, events=told.events, due=_id_of(one) in due)
        for one, told in zip(requests, absorbed, strict=True)
    ]


def _id_of(request: Hear) -> str:
    return request.seen.snapshot.recording_id


def _lock_known(connection: sa.Connection, ids: Iterable[str]) -> frozenset[str]:
    """Locked, lest one is removed for its age before it is absorbed, and then taken for new."""
    found = connection.execute(
        sa.select(recordings.c.recording_id)
        .where(recordings.c.recording_id.in_(sorted(ids)))
        .order_by(recordings.c.recording_id)
        .with_for_update()
    )
    return frozenset(found.scalars())


def _note_told(connection: sa.Connection, told: dict[str, float]) -> frozenset[str]:
    """Note when these were told of; those of them that are due to be read."""
    if not told:
        return frozenset()
    now = max(told.values())
    mine = recordings.c.recording_id.in_(sorted(told))
    connection.execute(sa.update(recordings).where(mine).values(told_at=now))
    due = connection.execute(
        sa.select(recordings.c.recording_id).where(mine, recordings.c.read_at <= now)
    )
    return frozenset(due.scalars())


def _note_strangers(connection: sa.Connection, unknown: Sequence[Hear]) -> None:
    latest = {one.seen.app: one.seen.observed_at.timestamp() for one in unknown if one.follow_all}
    set_marks(
        connection, [Mark(name=stranger_mark(app), at=at) for app, at in sorted(latest.items())]
    )
