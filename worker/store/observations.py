"""The store's one door for observations: from commands, from lists and GETs, and from webhooks.

All observations of one transaction go through `apply_batch`, which locks their recordings in one
order. Otherwise two replicas could wait for each other.
"""

from collections.abc import Iterable, Sequence
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
    """The observation of one webhook.

    `follow_all`: the worker follows every recording of the app. Then an unknown recording is noted,
    so that discovery reads the list.
    """

    observation: Observation
    follow_all: bool = False


class WebhookResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the app has the recording, how many events the webhook made, and whether the
    recording is now due to be read."""

    known: bool
    events: int = 0
    due: bool = False


ApplyRequest = FinishRequest | WebhookObservation | Sequence[Observation]


def apply_batch(
    connection: sa.Connection, requests: Sequence[ApplyRequest], *, source: str
) -> list[Any]:
    """Operation: finish commands, then apply observations, then apply webhooks: each in order.

    If there is more than one kind, all recordings are locked first. Each kind by itself would lock
    some that another replica has, while that replica waits for ours.
    """
    finishes = [one for one in requests if isinstance(one, FinishRequest)]
    webhooks = [one for one in requests if isinstance(one, WebhookObservation)]
    plain = [one for one in requests if not isinstance(one, FinishRequest | WebhookObservation)]
    if bool(finishes) + bool(webhooks) + bool(plain) > 1:
        _lock_recordings(connection, requests)
    finished = iter(finish(connection, finishes, source=source) if finishes else ())
    applied = iter(apply_observations(connection, plain, source=source) if plain else ())
    heard = iter(apply_webhooks(connection, webhooks, source=source) if webhooks else ())

    def result(request: ApplyRequest) -> Any:  # noqa: ANN401 - each kind has its own
        match request:
            case FinishRequest():
                return next(finished)
            case WebhookObservation():
                return next(heard)
            case _:
                return next(applied)

    return [result(request) for request in requests]


def _lock_recordings(connection: sa.Connection, requests: Iterable[ApplyRequest]) -> None:
    ids = {
        observation.snapshot.recording_id
        for request in requests
        for observation in _observations_of(request)
    }
    connection.execute(_LOCK, {"ids": ids}).all()


_LOCK: Final = (
    sa.select(recordings.c.recording_id)
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def _observations_of(request: ApplyRequest) -> Sequence[Observation]:
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
    """Operation: apply the observation of each webhook, in order.

    This never asks the API. If a webhook leaves a question open, the recording becomes due.
    """
    applied = apply_observations(
        connection, [[one.observation] for one in requests], source=source, only_known=True
    )
    results = [_webhook_result(*pair) for pair in zip(requests, applied, strict=True)]
    unknown = [one for one, result in zip(requests, results, strict=True) if not result.known]
    _note_unknown(connection, unknown)
    return results


def _webhook_result(request: WebhookObservation, applied: ApplyResult) -> WebhookResult:
    if not applied.recordings:
        return WebhookResult(known=False)
    (read_at,) = applied.read_at
    due = read_at is not None and read_at <= request.observation.observed_at.timestamp()
    return WebhookResult(known=True, events=applied.events, due=due)


def _note_unknown(connection: sa.Connection, unknown: Iterable[WebhookObservation]) -> None:
    """Note for each app that is followed as a whole when a webhook reported a recording that the
    worker does not know."""
    latest = {
        one.observation.app: one.observation.observed_at.timestamp()
        for one in unknown
        if one.follow_all
    }
    cursors = [
        Cursor(name=external_recordings_cursor(app), at=at) for app, at in sorted(latest.items())
    ]
    set_cursors(connection, cursors)
