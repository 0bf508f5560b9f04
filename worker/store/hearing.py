"""What a webhook told: taken in for recordings that are known, noted for an app that is followed.

Nothing here asks the API. What a webhook cannot settle leaves the recording due to be read.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.recording import Seen
from worker.store.absorbing import Absorbed, absorb_all
from worker.store.following import Mark, set_marks


class Hear(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook's sight of a recording. `follow_all`: its app is followed as a whole, so that one
    nobody knows is worth a look at the list."""

    seen: Seen
    follow_all: bool = False


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: whether the recording is known as the app's, how many events that made,
    and whether it is now due to be read."""

    known: bool
    events: int = 0
    due: bool = False


def stranger_mark(app: str) -> str:
    """The mark that says when a recording was last told of that nobody knows."""
    return f"stranger/{app}"


def hear_all(connection: sa.Connection, requests: Sequence[Hear], *, source: str) -> list[Heard]:
    """Operation: take in what each webhook tells, in order."""
    sights = [[one.seen] for one in requests]
    absorbed = absorb_all(connection, sights, source=source, only_known=True)
    heard = [_heard(one, came_to) for one, came_to in zip(requests, absorbed, strict=True)]
    strangers = [one for one, what in zip(requests, heard, strict=True) if not what.known]
    _note_strangers(connection, strangers)
    return heard


def _heard(request: Hear, came_to: Absorbed) -> Heard:
    if not came_to.recordings:
        return Heard(known=False)
    (read_at,) = came_to.read_at
    due = read_at is not None and read_at <= request.seen.observed_at.timestamp()
    return Heard(known=True, events=came_to.events, due=due)


def _note_strangers(connection: sa.Connection, unknown: Sequence[Hear]) -> None:
    latest = {one.seen.app: one.seen.observed_at.timestamp() for one in unknown if one.follow_all}
    set_marks(
        connection, [Mark(name=stranger_mark(app), at=at) for app, at in sorted(latest.items())]
    )
