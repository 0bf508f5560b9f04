"""All that is seen and told in one transaction, so that no two replicas lock in a circle."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import recordings
from worker.store.finishing import finish
from worker.store.hearing import WebhookObservation, apply_webhooks
from worker.store.recordings import apply_all
from worker.store.requests import Finish

Sight = Finish | WebhookObservation | Sequence[Observation]


def apply_batch(connection: sa.Connection, requests: Sequence[Sight], *, source: str) -> list[Any]:
    """Operation: ends of commands, then what was seen, then what webhooks told: each in order.

    The recordings of all are locked first, in one order: each kind for itself would lock some that
    another replica has while it waits for ours.
    """
    ends = [one for one in requests if isinstance(one, Finish)]
    told = [one for one in requests if isinstance(one, WebhookObservation)]
    seen = [one for one in requests if not isinstance(one, Finish | WebhookObservation)]
    if bool(ends) + bool(told) + bool(seen) > 1:
        _lock(connection, requests)
    ended = iter(finish(connection, ends, source=source) if ends else ())
    absorbed = iter(apply_all(connection, seen, source=source) if seen else ())
    heard = iter(apply_webhooks(connection, told, source=source) if told else ())
    return [
        next(ended)
        if isinstance(one, Finish)
        else next(heard if isinstance(one, WebhookObservation) else absorbed)
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


def _sights(request: Sight) -> Sequence[Observation]:
    match request:
        case Finish():
            return request.seen
        case WebhookObservation():
            return (request.seen,)
        case _:
            return request
