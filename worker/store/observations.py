"""All that is seen and told in one transaction, so that no two replicas lock in a circle."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.store.cursors import Cursor, external_recordings_cursor, set_cursors
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import recordings
from worker.store.finishing import FinishRequest, finish
from worker.store.recordings import ApplyResult, apply_observations


class WebhookObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook's sight of a recording. `follow_all`: its app is followed as a whole, so that one
    nobody knows is worth a look at the list."""

    observation: Observation
    follow_all: bool = False


class WebhookResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: whether the recording is known as the app's, how many events that made,
    and whether it is now due to be read."""

    known: bool
    events: int = 0
    due: bool = False


ApplyRequest = FinishRequest | WebhookObservation | Sequence[Observation]


def apply_batch(
    connection: sa.Connection, requests: Sequence[ApplyRequest], *, source: str
) -> list[Any]:
    """Operation: ends of commands, then what was seen, then what webhooks told: each in order.

    The recordings of all are locked first, in one order: each kind for itself would lock some that
    another replica has while it waits for ours.
    """
    ends = [one for one in requests if isinstance(one, FinishRequest)]
    told = [one for one in requests if isinstance(one, WebhookObservation)]
    seen = [one for one in requests if not isinstance(one, FinishRequest | WebhookObservation)]
    if bool(ends) + bool(told) + bool(seen) > 1:
        _lock(connection, requests)
    ended = iter(finish(connection, ends, source=source) if ends else ())
    absorbed = iter(apply_observations(connection, seen, source=source) if seen else ())
    heard = iter(apply_webhooks(connection, told, source=source) if told else ())
    return [
        next(ended)
        if isinstance(one, FinishRequest)
        else next(heard if isinstance(one, WebhookObservation) else absorbed)
        for one in requests
    ]


def _lock(connection: sa.Connection, requests: Sequence[ApplyRequest]) -> None:
    ids = {one.snapshot.recording_id for request in requests for one in _sights(request)}
    connection.execute(_LOCKED, {"ids": ids}).all()


_LOCKED: Final = (
    sa.select(recordings.c.recording_id)
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def _sights(request: ApplyRequest) -> Sequence[Observation]:
    match request:
        case FinishRequest():
            return request.observations
        case WebhookObservation():
            return (request.observation,)
        case _:
            return request


def apply_webhooks(
    connection: sa.Connection, requests: Sequence[WebhookObservation], *, source: str
) -> list[WebhookResult]:
    """Operation: take in what each webhook tells, in order."""
    sights = [[one.observation] for one in requests]
    absorbed = apply_observations(connection, sights, source=source, only_known=True)
    heard = [_heard(one, came_to) for one, came_to in zip(requests, absorbed, strict=True)]
    strangers = [one for one, what in zip(requests, heard, strict=True) if not what.known]
    _note_strangers(connection, strangers)
    return heard


def _heard(request: WebhookObservation, came_to: ApplyResult) -> WebhookResult:
    if not came_to.recordings:
        return WebhookResult(known=False)
    (read_at,) = came_to.read_at
    due = read_at is not None and read_at <= request.observation.observed_at.timestamp()
    return WebhookResult(known=True, events=came_to.events, due=due)


def _note_strangers(connection: sa.Connection, unknown: Sequence[WebhookObservation]) -> None:
    latest = {
        one.observation.app: one.observation.observed_at.timestamp()
        for one in unknown
        if one.follow_all
    }
    set_cursors(
        connection,
        [Cursor(name=external_recordings_cursor(app), at=at) for app, at in sorted(latest.items())],
    )
