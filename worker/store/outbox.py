"""The outbox: events that are committed and not yet confirmed by the broker."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from recording_schemas import EVENT_TYPES, Outcome, encode_event, exchange_of, routing_key
from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import ManyRows, inserting
from worker.store.database.holdable import strip_nul
from worker.store.database.notifications import leave
from worker.store.database.schema import outbox

NAMESPACE: Final = uuid.UUID("6f1d3b0e-52c7-5d0c-9c0b-7a1f0c1c2a55")
"""Of every event id. Changing it would give old facts new ids."""

Exchange = Literal["status", "files", "results", "reply"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Where one sending of a command wants its outcome, besides the exchange."""

    reply_to: str | None = None
    correlation_id: str | None = None
    trace: dict[str, str] = {}


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A final outcome as it was first published, kept to be published again for repeats."""

    event_id: str
    event_type: str
    routing_key: str
    command_id: str
    correlation_id: str
    body: str
    trace: dict[str, str] = {}


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
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


def event_id_of(fact: str) -> str:
    """`str(uuid.uuid5(NAMESPACE, fact))`, in a third of the time."""
    digest = sha1(NAMESPACE.bytes + fact.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def outcome_record(
    data: Outcome, *, source: str, at: datetime, correlation_id: str | None, trace: dict[str, str]
) -> OutcomeRecord:
    """The event of a command's end. Its id depends on the command's id alone."""
    event_id = event_id_of(f"outcome/{data.command_id}")
    body = encode_event(
        data, id=event_id, source=source, subject=data.command_id, time=at, sequence=None
    )
    return OutcomeRecord(
        event_id=event_id,
        event_type=EVENT_TYPES[type(data)],
        routing_key=routing_key(data),
        command_id=data.command_id,
        correlation_id=correlation_id or data.command_id,
        body=body.decode(),
        trace=trace,
    )


def event_rows(
    after: Recording, events: Sequence[RecordingEvent], *, source: str, at: datetime
) -> list[dict[str, Any]]:
    """Rows for the news of one recording. `after.sequence` is the number of the last of them."""
    origin = after.start
    headers = msgspec.json.encode(origin.trace if origin else {}).decode()
    correlation_id = (origin.correlation_id or origin.start_id) if origin else None
    first = after.sequence - len(events) + 1
    rows = []
    for number, data in enumerate(events, start=first):
        event_id = event_id_of(f"recording/{after.recording_id}/{number}")
        body = encode_event(
            data,
            id=event_id,
            source=source,
            subject=after.recording_id,
            time=at,
            sequence=f"{number:012d}",
        )
        rows.append(
            {
                "event_id": event_id,
                "event_type": EVENT_TYPES[type(data)],
                "subject": after.recording_id,
                "exchange": exchange_of(data),
                "routing_key": routing_key(data),
                "correlation_id": strip_nul(correlation_id),
                "headers": headers,
                "body": body,
                "created_at": at.timestamp(),
            }
        )
    return rows


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


def put(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Add rows in the given order."""
    if rows:
        _insert(connection, rows)
        leave(connection, "outbox")


_insert: Final = inserting(
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


def unsent(
    connection: sa.Connection, requests: Sequence[tuple[int, int, Iterable[int], float]]
) -> list[list[Unsent]]:
    """Operation: note what was sent, then read the oldest unsent events after a position, at most
    so many: (limit, after, positions sent, at that time).

    None of a subject of which one waits up to there: it may have been committed since that part was
    read, for replicas commit in another order than they take positions.
    """
    mark_sent(connection, [(positions, now) for _, _, positions, now in requests])
    return [_unsent(connection, limit, after) for limit, after, _, _ in requests]


def _unsent(connection: sa.Connection, limit: int, after: int) -> list[Unsent]:
    waiting = _WAITING_AFTER if after else _WAITING
    found = connection.execute(waiting, {"most": limit, "after": after}).all()
    return [
        Unsent(
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
    sa.select(*(outbox.c[name] for name in Unsent.__struct_fields__))
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


_note_sent: Final = ManyRows(
    [outbox.c.position, outbox.c.sent_at],
    lambda _, given: (
        sa.update(outbox)
        .where(outbox.c.position == given["position"])
        .values(sent_at=given["sent_at"])
    ),
)


def send_again(connection: sa.Connection, repeats: Sequence[tuple[str, Reply, float]]) -> None:
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
        put(connection, outcome_rows(record, reply, now=now, publish=publish))


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


def depth(connection: sa.Connection, requests: Sequence[None]) -> list[tuple[int, float | None]]:
    """Operation: how many events wait, and when the oldest of them was committed."""
    waits = outbox.c.sent_at.is_(None)
    count = connection.execute(sa.select(sa.func.count()).where(waits)).scalar_one()
    oldest = sa.select(outbox.c.created_at).where(waits).order_by(outbox.c.position).limit(1)
    return [(count, connection.execute(oldest).scalar())] * len(requests)


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
