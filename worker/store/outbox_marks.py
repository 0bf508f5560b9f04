"""Marks the events of a page in the outbox as sent, deferred or set aside.

ready      retry_at = 0    the event is published with the next page
deferred   retry_at > 0    the event waits for that time; later events of its subject wait, too
set aside  retry_at < 0    the event is not tried again, and no other event waits for it
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.store.database.bulk import ROW_KEY, bulk_update
from worker.store.database.dialects import strip_nul
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import HELD, outbox

SET_ASIDE: Final = -1.0
MAX_ERROR_LENGTH: Final = 500


class Deferral(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the broker did not accept.

    `retry_at` is in seconds since the epoch, or SET_ASIDE. `losses` counts the channels lost
    because of the event.
    """

    position: int
    retry_at: float
    tries: int
    losses: int
    error: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The destination accepts events again. Publish up to `limit` of its refused events."""

    exchange: str
    routing_key: str
    limit: int


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A queue of the destination refuses events, with this error. Publish those once that had
    another error: the other queues may not have got them."""

    exchange: str
    routing_key: str
    error: str


class PageMarks(msgspec.Struct, frozen=True, kw_only=True):
    """The results of publishing a page. `sent` has the positions of confirmed events."""

    sent: Sequence[int] = ()
    deferred: Sequence[Deferral] = ()
    released: Sequence[Release] = ()
    offers: Sequence[Offer] = ()

    def __bool__(self) -> bool:
        return bool(self.sent or self.deferred or self.released or self.offers)


class SetAsideEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the broker never accepted, with the fields for operators."""

    event_id: str
    event_type: str
    subject: str
    exchange: str
    routing_key: str
    created_at: float
    tries: int
    bytes: int
    last_error: str | None


def mark(connection: sa.Connection, requests: Sequence[tuple[PageMarks, float]]) -> list[None]:
    """Operation: mark the events of pages. Each page comes with the time of its results."""
    _mark_sent(
        connection,
        [{ROW_KEY: position, "sent_at": now} for marks, now in requests for position in marks.sent],
    )
    for marks, _ in requests:
        _mark_deferred(connection, [_deferred_row(deferral) for deferral in marks.deferred])
        for release in marks.released:
            connection.execute(
                _RELEASE,
                {
                    "to_exchange": release.exchange,
                    "to_key": release.routing_key,
                    "rows": release.limit,
                },
            )
        for offer in marks.offers:
            connection.execute(
                _OFFER,
                {
                    "to_exchange": offer.exchange,
                    "to_key": offer.routing_key,
                    "error": _stored_error(offer.error),
                },
            )
    return [None] * len(requests)


def resume_due(connection: sa.Connection, now: float) -> None:
    """Make deferred events ready whose time has been reached."""
    _RESUME_DUE.execute(connection, {"now": now})


def resume_untried(connection: sa.Connection, next_try_by: float, *, replies: bool | None) -> None:
    """Make a refused event ready for each destination of which none is due by `next_try_by`."""
    connection.execute(_RESUME_UNTRIED[replies], {"next_try_by": next_try_by})


def set_aside_events(connection: sa.Connection, limit: int) -> list[SetAsideEvent]:
    """The oldest events that are set aside."""
    query = (
        sa.select(
            *(outbox.c[name] for name in SetAsideEvent.__struct_fields__ if name != "bytes"),
            sa.func.length(outbox.c.body).label("bytes"),
        )
        .where(HELD, outbox.c.retry_at < 0)
        .order_by(outbox.c.position)
        .limit(limit)
    )
    return [SetAsideEvent(**row) for row in connection.execute(query).mappings()]


def retry_set_aside(connection: sa.Connection, event_ids: Iterable[str] | None) -> int:
    """Make events that are set aside ready again, or all of them if `event_ids` is None.

    Returns how many there were.
    """
    change = sa.update(outbox).where(HELD, outbox.c.retry_at < 0)
    if event_ids is not None:
        change = change.where(outbox.c.event_id.in_(sorted(event_ids)))
    return connection.execute(change.values(retry_at=0.0, losses=0)).rowcount


def _deferred_row(deferral: Deferral) -> dict[str, Any]:
    return {
        ROW_KEY: deferral.position,
        "retry_at": deferral.retry_at,
        "tries": deferral.tries,
        "losses": deferral.losses,
        "last_error": _stored_error(deferral.error),
    }


def _stored_error(text: str) -> str:
    return strip_nul(text[:MAX_ERROR_LENGTH])


_mark_sent: Final = bulk_update(outbox.c.position, "sent_at")
_mark_deferred: Final = bulk_update(outbox.c.position, "retry_at", "tries", "losses", "last_error")
_RESUME_DUE: Final = DirectStatement(
    sa.update(outbox)
    .where(HELD, outbox.c.retry_at > 0, outbox.c.retry_at <= sa.bindparam("now"))
    .values(retry_at=0.0)
)
# Neither events that cost a channel, which wait on their own, nor the barriers of replays.
_IS_REFUSED: Final = sa.and_(HELD, outbox.c.retry_at > 0, outbox.c.losses == 0)
_earlier: Final = outbox.alias("earlier")
_WAITS_FOR_ANOTHER_DESTINATION: Final = sa.exists().where(
    _earlier.c.sent_at.is_(None),
    sa.text("earlier.retry_at <> 0"),
    _earlier.c.retry_at > 0,
    _earlier.c.subject == outbox.c.subject,
    _earlier.c.position < outbox.c.position,
    sa.or_(
        _earlier.c.exchange != outbox.c.exchange, _earlier.c.routing_key != outbox.c.routing_key
    ),
    sa.text("earlier.exchange <> 'reply' AND outbox.exchange <> 'reply'"),
)
_MAY_TRY: Final = sa.and_(_IS_REFUSED, sa.not_(_WAITS_FOR_ANOTHER_DESTINATION))


_DESTINATION: Final = (outbox.c.exchange, outbox.c.routing_key)
_UNTRIED: Final = (
    sa.select(*_DESTINATION)
    .where(_IS_REFUSED)
    .group_by(*_DESTINATION)
    .having(sa.func.min(outbox.c.retry_at) > sa.bindparam("next_try_by"))
)


def _resume_oldest(condition: sa.ColumnElement[bool]) -> sa.Update:
    """Makes the oldest event ready that may try for each untried destination."""
    oldest = (
        sa.select(sa.func.min(outbox.c.position))
        .where(_MAY_TRY, condition, sa.tuple_(*_DESTINATION).in_(_UNTRIED))
        .group_by(*_DESTINATION)
    )
    return sa.update(outbox).where(outbox.c.position.in_(oldest)).values(retry_at=0.0)


_RESUME_UNTRIED: Final = {
    None: _resume_oldest(sa.true()),
    True: _resume_oldest(outbox.c.exchange == "reply"),
    False: _resume_oldest(outbox.c.exchange != "reply"),
}
_HAS_DESTINATION: Final = sa.and_(
    outbox.c.exchange == sa.bindparam("to_exchange"),
    outbox.c.routing_key == sa.bindparam("to_key"),
)
_LAST_RELEASED: Final = (
    sa.select(sa.func.max(sa.column("position")))
    .select_from(
        sa.select(outbox.c.position)
        .where(_MAY_TRY, _HAS_DESTINATION)
        .order_by(outbox.c.position)
        .limit(sa.bindparam("rows"))
        .subquery()
    )
    .scalar_subquery()
)
# Events that wait for another destination become ready as well, and go out when that one accepts.
# They do not count, because otherwise no event would release the others.
_RELEASE: Final = (
    sa.update(outbox)
    .where(
        outbox.c.position.in_(
            sa.select(outbox.c.position).where(
                _IS_REFUSED, _HAS_DESTINATION, outbox.c.position <= _LAST_RELEASED
            )
        )
    )
    .values(retry_at=0.0)
)
_OFFER: Final = (
    sa.update(outbox)
    .where(_IS_REFUSED, _HAS_DESTINATION, outbox.c.last_error != sa.bindparam("error"))
    .values(retry_at=0.0)
)
