"""Publishes the events of recordings again: copies them to the end of the outbox, in their order.

All copies of a replay are committed at once, so no other event of the recording comes between them.
`replay_pages` publishes them page by page.

Events that were not sent yet are moved, not copied. Otherwise they would be published before the
older ones. Events that are set aside do not change.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.store.database.bulk import last_row_id
from worker.store.database.dialects import among, open_or_closed, strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import outbox, recordings
from worker.store.event_positions import PositionRange, ranges_of, with_positions
from worker.store.outbox import Reply
from worker.store.replay_pages import DORMANT, PAGE_EVENTS, begin_pages, end_pages


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to publish the events of recordings again, for the command `command_id`.

    If `reply` has an address, they go only there. `now` is in epoch seconds.
    """

    command_id: str
    recording_ids: tuple[str, ...]
    reply: Reply
    now: float


def find_replayable(connection: sa.Connection, ids: Collection[str]) -> frozenset[str]:
    """Those of the recordings that still have an event in the outbox."""
    found = _positions(connection, ids)
    return frozenset(
        recording_id
        for recording_id, text in found.items()
        if _is_kept(connection, recording_id, text)
    )


def _is_kept(connection: sa.Connection, recording_id: str, text: str | None) -> bool:
    # The newest range first, because the oldest events are removed first.
    for part in reversed(list(ranges_of(text))):
        if connection.execute(_ANY_KEPT, _values(recording_id, part)).first():
            return True
    return False


def replay(connection: sa.Connection, request: Replay) -> None:
    """Add the events of the recordings to the outbox again.

    The caller has locked the recordings, so that none of their events is added meanwhile.
    """
    texts = _positions(connection, request.recording_ids)
    ranges = {
        recording_id: list(ranges_of(texts.get(recording_id)))
        for recording_id in request.recording_ids
    }
    if request.reply.reply_to is not None:
        _replay_to_reply(connection, request, ranges)
    else:
        for recording_id in request.recording_ids:
            _replay_to_exchanges(connection, recording_id, ranges[recording_id], request.now)
    notify_on_commit(connection, "replies" if request.reply.reply_to is not None else "outbox")


def _replay_to_exchanges(
    connection: sa.Connection, recording_id: str, ranges: Sequence[PositionRange], now: float
) -> None:
    # An earlier replay in progress ends here: this one has all its events.
    end_pages(connection, recording_id)
    copies = _Copies(connection, subject=recording_id, now=now)
    for part in ranges:
        copies.add(_TO_EXCHANGES, recording_id, part)
    for part in ranges:
        connection.execute(_DELETE_UNSENT, _values(recording_id, part))
    if block := copies.finish():
        connection.execute(
            sa.update(recordings)
            .where(open_or_closed(recordings.c.recording_id == recording_id))
            .values(event_positions=with_positions(None, *block))
        )


def _replay_to_reply(
    connection: sa.Connection, request: Replay, ranges: dict[str, list[PositionRange]]
) -> None:
    """Add the events as replies, in the order of the recordings.

    Their subject is the command. The outcome is a reply with this subject too, so it comes last.
    """
    copies = _Copies(connection, subject=request.command_id, now=request.now)
    address = {
        "command_id": request.command_id,
        "reply_to": strip_nul(request.reply.reply_to),
        "correlation_id": strip_nul(request.reply.correlation_id or request.command_id),
    }
    for recording_id in request.recording_ids:
        for part in ranges[recording_id]:
            copies.add(_TO_REPLY, recording_id, part, **address)
    copies.finish()


class _Copies:
    """The copies of one replay: contiguous except for events of other replicas."""

    def __init__(self, connection: sa.Connection, *, subject: str, now: float) -> None:
        self._connection = connection
        self._subject = subject
        self._now = now
        self._count = 0
        self._block: PositionRange | None = None

    def add(
        self, statement: sa.Insert, recording_id: str, part: PositionRange, **address: str | None
    ) -> None:
        """Copy the recording's events in this range of positions."""
        values = _values(recording_id, part) | {
            "copied": self._count,
            "now": self._now,
            **address,
        }
        added = _insert_range(self._connection, statement, values)
        if added is None:
            return
        block, count = added
        self._count += count
        self._block = PositionRange(self._block.first if self._block else block.first, block.last)

    def finish(self) -> PositionRange | None:
        """Set the barrier if there are several pages. Returns where the copies are, if anywhere."""
        if self._block is not None and self._count > PAGE_EVENTS:
            begin_pages(self._connection, self._subject, self._block, self._now)
        return self._block


def _insert_range(
    connection: sa.Connection, statement: sa.Insert, values: dict[str, Any]
) -> tuple[PositionRange, int] | None:
    """Insert copies. Returns their first and last position, and how many they are."""
    if connection.dialect.name == "sqlite":
        count = connection.execute(statement, values).rowcount
        last = last_row_id(connection)
        return (PositionRange(last - count + 1, last), count) if count else None
    returning = statement.returning(outbox.c.position)
    positions = connection.execute(returning, values).scalars().all()
    return (PositionRange(min(positions), max(positions)), len(positions)) if positions else None


# Statements


def _positions(connection: sa.Connection, ids: Iterable[str]) -> dict[str, str | None]:
    return dict(connection.execute(_POSITIONS, {"ids": list(ids)}).all())


def _values(recording_id: str, part: PositionRange) -> dict[str, Any]:
    return {"recording_id": recording_id, "first": part.first, "last": part.last}


_POSITIONS: Final = sa.select(recordings.c.recording_id, recordings.c.event_positions).where(
    open_or_closed(among(recordings.c.recording_id, "ids"))
)

_kept: Final = outbox.alias("kept")
_IS_KEPT: Final = sa.and_(
    _kept.c.position >= sa.bindparam("first"),
    _kept.c.position <= sa.bindparam("last"),
    _kept.c.subject == sa.bindparam("recording_id"),
    sa.text("kept.exchange IN ('status', 'files')"),
)
_ANY_KEPT: Final = sa.select(_kept.c.position).where(_IS_KEPT).limit(1)
_IS_ASIDE: Final = sa.and_(_kept.c.sent_at.is_(None), _kept.c.retry_at < 0)

_number: Final = sa.bindparam("copied", type_=sa.Integer) + sa.func.sum(
    sa.case((_IS_ASIDE, 0), else_=1), type_=sa.Integer
).over(order_by=_kept.c.position)
"""The number of a copy, from 1. Events that are set aside do not count."""

_is_later_page: Final = _number > PAGE_EVENTS
_now: Final = sa.bindparam("now", type_=sa.Double)
_SHARED: Final = {
    "event_id": _kept.c.event_id,
    "event_type": _kept.c.event_type,
    "headers": _kept.c.headers,
    "body": _kept.c.body,
    "created_at": sa.case((_IS_ASIDE, _kept.c.created_at), else_=_now + _number / PAGE_EVENTS),
    "sent_at": sa.case((_IS_ASIDE, sa.null()), (_is_later_page, _now), else_=sa.null()),
    "retry_at": sa.case((_IS_ASIDE, _kept.c.retry_at), (_is_later_page, DORMANT), else_=0.0),
    "tries": sa.case((_IS_ASIDE, _kept.c.tries), else_=0),
    "losses": sa.case((_IS_ASIDE, _kept.c.losses), else_=0),
    "last_error": sa.case((_IS_ASIDE, _kept.c.last_error), else_=sa.null()),
}


def _copy(columns: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> sa.Insert:
    values = {**_SHARED, **columns}
    chosen = sa.select(*(value.label(name) for name, value in values.items()))
    return sa.insert(outbox).from_select(
        list(values), chosen.where(_IS_KEPT, *conditions).order_by(_kept.c.position)
    )


_TO_EXCHANGES: Final = _copy(
    {
        "subject": _kept.c.subject,
        "exchange": _kept.c.exchange,
        "routing_key": _kept.c.routing_key,
        "correlation_id": _kept.c.correlation_id,
    }
)
_TO_REPLY: Final = _copy(
    {
        "subject": sa.bindparam("command_id", type_=sa.Text),
        "exchange": sa.literal("reply", sa.Text),
        "routing_key": sa.bindparam("reply_to", type_=sa.Text),
        "correlation_id": sa.bindparam("correlation_id", type_=sa.Text),
    },
    sa.not_(_IS_ASIDE),
)

_DELETE_UNSENT: Final = sa.delete(outbox).where(
    outbox.c.position >= sa.bindparam("first"),
    outbox.c.position <= sa.bindparam("last"),
    outbox.c.subject == sa.bindparam("recording_id"),
    sa.text("outbox.exchange IN ('status', 'files')"),
    outbox.c.sent_at.is_(None),
)
