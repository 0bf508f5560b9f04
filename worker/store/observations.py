"""Applies every observation: from commands, from lists and reads, and from webhooks.

All observations of one transaction go through `apply_batch`, which locks their recordings in one
order. Otherwise two replicas could wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.store.cursors import Cursor, external_recordings_cursor, set_cursor
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import recordings
from worker.store.finishing import FinishRequest, finish
from worker.store.recordings import ApplyResult, apply_observations


class WebhookObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The observation of one webhook.

    `follow_all`: the worker follows every recording of the app. Then a webhook about an unknown
    recording moves a cursor, so that discovery reads the list.
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
    connection: sa.Connection, requests: Sequence[ApplyRequest], *, source: str, archives: bool
) -> list[Any]:
    """Operation: finish commands, then apply observations, then apply webhooks, each in order.

    If there are several kinds of requests or a replay, all recordings are locked first, in one
    order. Otherwise each kind would lock its own, and two replicas could wait for each other.
    """
    finishes = [request for request in requests if isinstance(request, FinishRequest)]
    webhooks = [request for request in requests if isinstance(request, WebhookObservation)]
    plain = [
        request
        for request in requests
        if not isinstance(request, FinishRequest | WebhookObservation)
    ]
    replay_ids = {key for request in finishes for key in request.replay_ids}
    if replay_ids or bool(finishes) + bool(webhooks) + bool(plain) > 1:
        _lock_recordings(connection, requests, replay_ids)

    run = partial(_run, connection, source=source, archives=archives)
    finish_results = run(finish, finishes)
    apply_results = run(apply_observations, plain)
    webhook_results = run(apply_webhooks, webhooks)

    def result(request: ApplyRequest) -> Any:  # noqa: ANN401 - each kind has its own
        match request:
            case FinishRequest():
                return next(finish_results)
            case WebhookObservation():
                return next(webhook_results)
            case _:
                return next(apply_results)

    return [result(request) for request in requests]


def _run(
    connection: sa.Connection,
    operation: Callable[..., list[Any]],
    requests: Sequence[Any],
    **options: str | bool,
) -> Iterator[Any]:
    return iter(operation(connection, requests, **options) if requests else ())


def _lock_recordings(
    connection: sa.Connection, requests: Iterable[ApplyRequest], replay_ids: set[str]
) -> None:
    ids = replay_ids | {
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
    connection: sa.Connection,
    requests: Sequence[WebhookObservation],
    *,
    source: str,
    archives: bool,
) -> list[WebhookResult]:
    """Operation: apply the observation of each webhook, in order.

    This makes no request to the API. If a webhook leaves a question open, the recording becomes due
    to be read.
    """
    applied = apply_observations(
        connection,
        [[request.observation] for request in requests],
        source=source,
        archives=archives,
        only_known=True,
    )
    results = [_webhook_result(*pair) for pair in zip(requests, applied, strict=True)]
    unknown = [
        request for request, result in zip(requests, results, strict=True) if not result.known
    ]
    _note_unknown(connection, unknown)
    return results


def _webhook_result(request: WebhookObservation, applied: ApplyResult) -> WebhookResult:
    if not applied.recordings:
        return WebhookResult(known=False)
    (read_at,) = applied.read_at
    due = read_at is not None and read_at <= request.observation.observed_at.timestamp()
    return WebhookResult(known=True, events=applied.events, due=due)


def _note_unknown(connection: sa.Connection, unknown: Iterable[WebhookObservation]) -> None:
    """Store the time of the last webhook about an unknown recording, for each app whose recordings
    are all followed."""
    latest = {
        request.observation.app: request.observation.observed_at.timestamp()
        for request in unknown
        if request.follow_all
    }
    for app, at in sorted(latest.items()):
        set_cursor(connection, Cursor(name=external_recordings_cursor(app), at=at))
