"""All that is seen and told in one transaction, so that no two replicas lock in a circle."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from worker.recording import Seen
from worker.store.absorbing import absorb_all
from worker.store.conditions import among, open_or_closed
from worker.store.finishing import finish
from worker.store.hearing import Hear, hear_all
from worker.store.requests import Finish
from worker.store.tables import recordings

Sight = Finish | Hear | Sequence[Seen]


def take_in(connection: sa.Connection, requests: Sequence[Sight], *, source: str) -> list[Any]:
    """Operation: ends of commands, then what was seen, then what webhooks told: each in order.

    The recordings of all are locked first, in one order: each kind for itself would lock some that
    another replica has while it waits for ours.
    """
    ends = [one for one in requests if isinstance(one, Finish)]
    told = [one for one in requests if isinstance(one, Hear)]
    seen = [one for one in requests if not isinstance(one, Finish | Hear)]
    if bool(ends) + bool(told) + bool(seen) > 1:
        _lock(connection, requests)
    ended = iter(finish(connection, ends, source=source) if ends else ())
    absorbed = iter(absorb_all(connection, seen, source=source) if seen else ())
    heard = iter(hear_all(connection, told, source=source) if told else ())
    return [
        next(ended)
        if isinstance(one, Finish)
        else next(heard if isinstance(one, Hear) else absorbed)
        for one in requests
    ]


def _lock(connection: sa.Connection, requests: Sequence[Sight]) -> None:
    ids = {one.snapshot.recording_id for request in requests for one in _sights(request)}
    connection.execute(_LOCKED, {"ids": ids}).all()


_LOCKED: Final = (
    sa.select(recordings.c.recording_id)
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def _sights(request: Sight) -> Sequence[Seen]:
    match request:
        case Finish():
            return request.seen
        case Hear():
            return (request.seen,)
        case _:
            return request
