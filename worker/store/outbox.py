"""The outbox: events that are committed and that the broker has not confirmed yet."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from worker.domain.event_envelopes import OutcomeRecord, recording_envelopes
from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import ROW_KEY, bulk_insert, bulk_update
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import outbox

Exchange = Literal["status", "files", "results", "reply"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Where one delivery of a command wants its outcome, besides the results exchange."""

    reply_to: str | None = None
    correlation_id: str | None = None
    trace: dict[str, str] = {}


class StoredOutcome(NamedTuple):
    """An outcome to publish again: the inbox's JSON of an `OutcomeRecord`, the reply that the
    repeated delivery wants, and the time."""

    stored: str
    reply: Reply
    now: float


class UnsentEvent(msgspec.Struct, frozen=True):
    """One event that waits in the outbox. The oldest has the lowest `position`."""

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


# Adding events


def event_rows(
    after: Recording, events: Sequence[RecordingEvent], *, source: str, at: datetime
) -> list[dict[str, Any]]:
    """Rows for the events of one recording. `after.sequence` is the number of the last of them."""
    if not events:
        return []
    start = after.start
    headers = msgspec.json.encode(start.trace if start else {}).decode()
    correlation_id = strip_nul((start.correlation_id or start.start_id) if start else None)
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
    """Rows for an outcome: for the results exchange if `publish`, for the reply if wanted."""
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
        reply_columns = {
            "exchange": "reply",
            "routing_key": strip_nul(reply.reply_to),
            "correlation_id": strip_nul(reply.correlation_id or record.command_id),
            "headers": msgspec.json.encode(reply.trace).decode(),
        }
        rows.append(row | reply_columns)
    return rows


def add_rows(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Add events in the given order."""
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


def resend_outcomes(connection: sa.Connection, repeats: Sequence[StoredOutcome]) -> None:
    """Publish outcomes again, exactly as they were first published.

    Each reply goes out. The results exchange gets an outcome only if none is waiting for it.
    """
    records = [msgspec.json.decode(repeat.stored, type=OutcomeRecord) for repeat in repeats]
    waiting = _find_unpublished(connection, {record.event_id for record in records})
    for record, repeat in zip(records, repeats, strict=True):
        publish = record.event_id not in waiting
        waiting.add(record.event_id)
        add_rows(connection, outcome_rows(record, repeat.reply, now=repeat.now, publish=publish))


def _find_unpublished(connection: sa.Connection, event_ids: Iterable[str]) -> set[str]:
    """Those of the ids that already wait for their publication on the results exchange.

    Reads every unsent event: ask for many ids at once.
    """
    ids = sorted(event_ids)
    if not ids:
        return set()
    unpublished = sa.select(outbox.c.event_id).where(
        outbox.c.sent_at.is_(None),
        outbox.c.exchange == "results",
        outbox.c.event_id.in_(ids),
    )
    return set(connection.execute(unpublished).scalars())


# Reading and marking events


def read_unsent(
    connection: sa.Connection, requests: Sequence[tuple[int, int, Iterable[int], float]]
) -> list[list[UnsentEvent]]:
    """Operation: mark events as sent, then read the oldest unsent events behind a position.

    A request is (limit, after, positions that were sent, when they were sent).

    Subjects that still have an unsent event at or before `after` are skipped. A replica may commit
    a lower position late, and the order per subject must hold.
    """
    mark_sent(connection, [(positions, now) for _, _, positions, now in requests])
    return [_read_unsent(connection, limit, after) for limit, after, _, _ in requests]


def _read_unsent(connection: sa.Connection, limit: int, after: int) -> list[UnsentEvent]:
    query = _WAITING_AFTER if after else _WAITING
    rows = connection.execute(query, {"limit": limit, "after": after}).all()
    return [
        _event_of(*columns, _HEADERS.decode(headers), body, created_at)
        for *columns, headers, body, created_at in rows
    ]


_event_of: Final[Callable[..., UnsentEvent]] = UnsentEvent
"""Called with the columns of a row, which are selected in the order of the struct's fields."""

_HEADERS: Final = msgspec.json.Decoder(dict[str, str])
_UNSENT: Final = outbox.c.sent_at.is_(None)
_WAITING: Final = (
    sa.select(*(outbox.c[name] for name in UnsentEvent.__struct_fields__))
    .where(_UNSENT)
    .order_by(outbox.c.position)
    .limit(sa.bindparam("limit"))
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
    """Operation: mark positions as confirmed by the broker at that time."""
    sent = [
        {ROW_KEY: position, "sent_at": now} for positions, now in requests for position in positions
    ]
    _mark_sent(connection, sent)
    return [None] * len(requests)


_mark_sent: Final = bulk_update(outbox.c.position, "sent_at")


def measure_depth(
    connection: sa.Connection, requests: Sequence[None]
) -> list[tuple[int, float | None]]:
    """Operation: how many events are unsent, and when the oldest was committed (None: no event)."""
    count = connection.execute(sa.select(sa.func.count()).where(_UNSENT)).scalar_one()
    oldest = sa.select(outbox.c.created_at).where(_UNSENT).order_by(outbox.c.position).limit(1)
    return [(count, connection.execute(oldest).scalar())] * len(requests)
