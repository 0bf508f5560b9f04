"""Reads the outbox: the events to publish now, and how many wait."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.direct import DirectStatement, Rows
from worker.store.database.schema import HELD, outbox
from worker.store.database.submissions import LateResult
from worker.store.outbox import OutboxExchange
from worker.store.outbox_marks import PageMarks, mark, resume_due, resume_untried
from worker.store.replay_pages import wake_next


class UnsentEvent(msgspec.Struct, frozen=True):
    """One event that waits in the outbox. The oldest has the lowest `position`.

    `tries` counts how often the broker did not accept it, `losses` how often the channel was lost
    because of it.
    """

    position: int
    event_id: str
    event_type: str
    subject: str
    exchange: OutboxExchange
    routing_key: str
    correlation_id: str | None
    headers: dict[str, str]
    body: bytes
    created_at: float
    tries: int = 0
    losses: int = 0


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the oldest events to publish now.

    `marks` has the results of the previous page, at `now`. `replies` picks replies or all others;
    None picks both. With `resume`, deferred events that are due become ready. With `next_try_by`,
    so does a refused event of each destination of which none is due by that time. The one that was
    to try may be set aside, moved by a replay, or wait for another event of its recording.
    """

    limit: int
    marks: PageMarks
    now: float
    replies: bool | None
    resume: bool = False
    next_try_by: float | None = None


def read_unsent(
    connection: sa.Connection, requests: Sequence[PageRequest]
) -> list[LateResult[list[UnsentEvent]]]:
    """Operation: mark the events of earlier pages, then read the oldest events that are ready.

    An event is skipped while an earlier event of its subject is deferred. A reply waits only for
    earlier replies of its subject to the same queue, and no event waits for a reply.
    """
    mark(connection, [(request.marks, request.now) for request in requests])
    for request in requests:
        if request.next_try_by is not None:
            # Before the events that try become ready, because it would not count them.
            resume_untried(connection, request.next_try_by, replies=request.replies)
        if request.resume:
            # Before deferred events become ready, because it postpones the barriers.
            wake_next(connection, request.now)
            resume_due(connection, request.now)
    return [
        LateResult(
            _READY[request.replies].later_rows(connection, {"limit": request.limit}), _events
        )
        for request in requests
    ]


def _events(rows: Rows) -> list[UnsentEvent]:
    return [
        _event_of(*columns, _HEADERS.decode(headers), body, created_at, tries, losses)
        for *columns, headers, body, created_at, tries, losses in rows
    ]


_event_of: Final[Callable[..., UnsentEvent]] = UnsentEvent
"""Called with the columns of a row, which are selected in the order of the struct's fields."""

_HEADERS: Final = msgspec.json.Decoder(dict[str, str])
_UNSENT: Final = outbox.c.sent_at.is_(None)
_IS_REPLY: Final = sa.text("outbox.exchange = 'reply'")
_earlier: Final = outbox.alias("earlier")
_ANY_DEFERRED: Final = sa.exists().where(
    _earlier.c.sent_at.is_(None), sa.text("earlier.retry_at <> 0"), sa.text("earlier.retry_at > 0")
)
_WAITS_BEHIND_DEFERRED: Final = sa.exists().where(
    _earlier.c.sent_at.is_(None),
    sa.text("earlier.retry_at <> 0"),
    sa.text("earlier.retry_at > 0"),
    _earlier.c.subject == outbox.c.subject,
    _earlier.c.position < outbox.c.position,
    sa.or_(
        sa.text("earlier.exchange <> 'reply' AND outbox.exchange <> 'reply'"),
        sa.and_(
            sa.text("earlier.exchange = 'reply' AND outbox.exchange = 'reply'"),
            _earlier.c.routing_key == outbox.c.routing_key,
        ),
    ),
)
# The first condition is evaluated once, and mostly decides. The second one is evaluated per row.
_MAY_GO_OUT: Final = sa.or_(sa.not_(_ANY_DEFERRED), sa.not_(_WAITS_BEHIND_DEFERRED))
_ALL_READY: Final = (
    sa.select(*(outbox.c[name] for name in UnsentEvent.__struct_fields__))
    .where(_UNSENT, sa.text("outbox.retry_at = 0"), _MAY_GO_OUT)
    .order_by(outbox.c.position)
    .limit(sa.bindparam("limit"))
)
_READY: Final = {
    None: DirectStatement(_ALL_READY),
    True: DirectStatement(_ALL_READY.where(_IS_REPLY)),
    False: DirectStatement(_ALL_READY.where(sa.text("outbox.exchange <> 'reply'"))),
}


class OutboxDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many events wait. `events` includes those that are `deferred`, not those `set_aside`.

    `oldest_at` is when the oldest of `events` was committed (seconds since the epoch), or None.
    """

    events: int
    oldest_at: float | None
    deferred: int = 0
    set_aside: int = 0


def measure_depth(connection: sa.Connection) -> OutboxDepth:
    """How many events are unsent, and since when."""
    unsent = connection.execute(sa.select(sa.func.count()).where(_UNSENT)).scalar_one()
    # The barrier of a replay is held, but the broker never saw it.
    is_refused = sa.or_(outbox.c.retry_at < 0, outbox.c.tries > 0)
    by_state = (
        sa.select(outbox.c.retry_at < 0, sa.func.count())
        .where(HELD, is_refused)
        .group_by(sa.text("1"))
    )
    held: dict[bool, int] = {
        bool(is_aside): count for is_aside, count in connection.execute(by_state)
    }
    set_aside = held.get(True, 0)
    waiting = sa.select(outbox.c.created_at).where(_UNSENT, outbox.c.retry_at >= 0)
    oldest_at = connection.execute(waiting.order_by(outbox.c.position).limit(1)).scalar()
    return OutboxDepth(
        events=unsent - set_aside,
        oldest_at=oldest_at,
        deferred=held.get(False, 0),
        set_aside=set_aside,
    )
