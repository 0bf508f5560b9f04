"""The outbox: events that are committed and not yet confirmed by the broker."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from worker.domain.event_envelopes import OutcomeRecord, recording_envelopes
from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import BulkStatement, bulk_insert
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import outbox

Exchange = Literal["status", "files", "results", "reply"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Where one sending of a command wants its outcome, besides the exchange."""

    reply_to: str | None = None
    correlation_id: str | None = None
    trace: dict[str, str] = {}


class UnsentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event waiting in the outbox, oldest `position` first."""

    position: int
    event_id: str
    event_type: str
    subject: str
    exchange: Exchange
    routing_key: str
    correlation_id: str | None
    headers: dict[str, str]
    body: bytes
    created_at: float


def event_rows(
    after: Recording, events: Sequence[RecordingEvent], *, source: str, at: datetime
) -> list[dict[str, Any]]:
    """Rows for the events of one recording. `after.sequence` is the number of the last of them."""
    if not events:
        return []
    origin = after.start
    headers = msgspec.json.encode(origin.trace if origin else {}).decode()
    correlation_id = strip_nul((origin.correlation_id or origin.start_id) if origin else None)
    return [
        {
            "event_id": envelope.event_id,
            "event_type": envelope.event_type,
            "subject": after.recording_id,
            "exchange": envelope.exchange,
            "routing_key": envelope.routing_key,
            "correlation_id": correlation_id,
            "headers": headers,
            "body": envelope.body,
            "created_at": at.timestamp(),
        }
        for envelope in recording_envelopes(after, events, source=source, at=at)
    ]


def outcome_rows(
    record: OutcomeRecord, reply: Reply, *, now: float, publish: bool = True
) -> list[dict[str, Any]]:
    """Rows for an outcome: on the exchange, and to whoever this sending wants told."""
    row = {
        "event_id": record.event_id,
        "event_type": record.event_type,
        "subject": record.command_id,
        "exchange": "results",
        "routing_key": record.routing_key,
        "correlation_id": strip_nul(record.correlation_id),
        "headers": msgspec.json.encode(record.trace).decode(),
        "body": record.body.encode(),
        "created_at": now,
    }
    rows = [row] if publish else []
    if reply.reply_to is not None:
        to = {
            "exchange": "reply",
            "routing_key": strip_nul(reply.reply_to),
            "correlation_id": strip_nul(reply.correlation_id or record.command_id),
            "headers": msgspec.json.encode(reply.trace).decode(),
        }
        rows.append(row | to)
    return rows


def add_rows(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Add rows in the given order."""
    if rows:
        _insert(connection, rows)
        notify_on_commit(connection, "outbox")


_insert: Final = bulk_insert(
    outbox,
    "event_id",
    "event_type",
    "subject",
    "exchange",
    "routing_key",
    "correlation_id",
    "headers",
    "body",
    "created_at",
)


def read_unsent(
    connection: sa.Connection, requests: Sequence[tuple[int, int, Iterable[int], float]]
) -> list[list[UnsentEvent]]:
    """Operation: note what was sent, then read the oldest unsent events after a position, at most
    so many: (limit, after, positions sent, at that time).

    None of a subject of which one waits up to there: it may have been committed since that part was
    read, for replicas commit in another order than they take positions.
    """
    mark_sent(connection, [(positions, now) for _, _, positions, now in requests])
    return [_unsent(connection, limit, after) for limit, after, _, _ in requests]


def _unsent(connection: sa.Connection, limit: int, after: int) -> list[UnsentEvent]:
    waiting = _WAITING_AFTER if after else _WAITING
    found = connection.execute(waiting, {"most": limit, "after": after}).all()
    return [
        UnsentEvent(
            position=position,
            event_id=event_id,
            event_type=event_type,
            subject=subject,
            exchange=exchange,
            routing_key=routing_key,
            correlation_id=correlation_id,
            headers=_HEADERS.decode(headers),
            body=body,
            created_at=created_at,
        )
        for (
            position,
            event_id,
            event_type,
            subject,
            exchange,
            routing_key,
            correlation_id,
            headers,
            body,
            created_at,
        ) in found
    ]


_HEADERS: Final = msgspec.json.Decoder(dict[str, str])
_UNSENT: Final = outbox.c.sent_at.is_(None)
_WAITING: Final = (
    sa.select(*(outbox.c[name] for name in UnsentEvent.__struct_fields__))
    .where(_UNSENT)
    .order_by(outbox.c.position)
    .limit(sa.bindparam("most"))
)
_WAITING_AFTER: Final = _WAITING.where(
    outbox.c.position > sa.bindparam("after"),
    outbox.c.subject.not_in(
        sa.select(outbox.c.subject).where(_UNSENT, outbox.c.position <= sa.bindparam("after"))
    ),
)


def mark_sent(
    connection: sa.Connection, requests: Sequence[tuple[Iterable[int], float]]
) -> list[None]:
    """Operation: the broker confirmed these positions at that time."""
    sent = [
        {"position": position, "sent_at": now}
        for positions, now in requests
        for position in positions
    ]
    _note_sent(connection, sent)
    return [None] * len(requests)


_note_sent: Final = BulkStatement(
    [outbox.c.position, outbox.c.sent_at],
    lambda _, given: (
        sa.update(outbox)
        .where(outbox.c.position == given["position"])
        .values(sent_at=given["sent_at"])
    ),
)


def resend_outcomes(connection: sa.Connection, repeats: Sequence[tuple[str, Reply, float]]) -> None:
    """Outcomes as they were first told, by what is stored of them, with the reply each sending
    wants and the time; on the exchange only if they do not wait there already."""
    told = [
        (msgspec.json.decode(stored, type=OutcomeRecord), reply, now)
        for stored, reply, now in repeats
    ]
    waiting = _unpublished(connection, {record.event_id for record, _, _ in told})
    for record, reply, now in told:
        publish = record.event_id not in waiting
        waiting.add(record.event_id)
        add_rows(connection, outcome_rows(record, reply, now=now, publish=publish))


def _unpublished(connection: sa.Connection, event_ids: Iterable[str]) -> set[str]:
    """Those of the ids that already wait for their publication on the results exchange.

    Looks through all that waits: ask for many at once.
    """
    wanted = sorted(event_ids)
    if not wanted:
        return set()
    rows = connection.execute(
        sa.select(outbox.c.event_id).where(
            outbox.c.sent_at.is_(None),
            outbox.c.exchange == "results",
            outbox.c.event_id.in_(wanted),
        )
    )
    return set(rows.scalars())


def measure_depth(
    connection: sa.Connection, requests: Sequence[None]
) -> list[tuple[int, float | None]]:
    """Operation: how many events wait, and when the oldest of them was committed."""
    waits = outbox.c.sent_at.is_(None)
    count = connection.execute(sa.select(sa.func.count()).where(waits)).scalar_one()
    oldest = sa.select(outbox.c.created_at).where(waits).order_by(outbox.c.position).limit(1)
    return [(count, connection.execute(oldest).scalar())] * len(requests)
