"""What a webhook told: taken in for recordings that are known, noted for an app that is followed.

Nothing here asks the API. What a webhook cannot settle leaves the recording due to be read.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.store.read_schedule import Cursor, set_cursors
from worker.store.recordings import ApplyResult, apply_all


class WebhookObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook's sight of a recording. `follow_all`: its app is followed as a whole, so that one
    nobody knows is worth a look at the list."""

    seen: Observation
    follow_all: bool = False


class WebhookResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: whether the recording is known as the app's, how many events that made,
    and whether it is now due to be read."""

    known: bool
    events: int = 0
    due: bool = False


def external_recordings_cursor(app: str) -> str:
    """The mark that says when a recording was last told of that nobody knows."""
    return f"stranger/{app}"


def apply_webhooks(
    connection: sa.Connection, requests: Sequence[WebhookObservation], *, source: str
) -> list[WebhookResult]:
    """Operation: take in what each webhook tells, in order."""
    sights = [[one.seen] for one in requests]
    absorbed = apply_all(connection, sights, source=source, only_known=True)
    heard = [_heard(one, came_to) for one, came_to in zip(requests, absorbed, strict=True)]
    strangers = [one for one, what in zip(requests, heard, strict=True) if not what.known]
    _note_strangers(connection, strangers)
    return heard


def _heard(request: WebhookObservation, came_to: ApplyResult) -> WebhookResult:
    if not came_to.recordings:
        return WebhookResult(known=False)
    (read_at,) = came_to.read_at
    due = read_at is not None and read_at <= request.seen.observed_at.timestamp()
    return WebhookResult(known=True, events=came_to.events, due=due)


def _note_strangers(connection: sa.Connection, unknown: Sequence[WebhookObservation]) -> None:
    latest = {one.seen.app: one.seen.observed_at.timestamp() for one in unknown if one.follow_all}
    set_cursors(
        connection,
        [Cursor(name=external_recordings_cursor(app), at=at) for app, at in sorted(latest.items())],
    )
