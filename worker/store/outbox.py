"""The outbox: events that are committed and that the broker has not confirmed yet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from worker.domain.event_envelopes import ID_CONFLICT_HEADER, OutcomeRecord, recording_envelopes
from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import numbered_insert
from worker.store.database.dialects import strip_nul
from worker.store.database.direct import DirectStatement, Rows
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import HELD, outbox
from worker.store.database.submissions import LateResult
from worker.store.outbox_marks import PageMarks, mark, resume_due
from worker.store.replay_pages import wake_next

Exchange = Literal["status", "files", "results", "reply"]


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address for the outcome that one delivery of a command names, besides the results
    exchange.

    `metadata` is that of a start which is stored with its address: a stop may end such a start when
    nobody has its message. `id_conflict`: the delivery has another body than the outcome's command.
    """

    reply_to: str | None = None
    correlation_id: str | None = None
    trace: dict[str, str] = {}
    metadata: dict[str, str] | None = None
    id_conflict: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the reply."""
        return self.trace | ({ID_CONFLICT_HEADER: "true"} if self.id_conflict else {})


class StoredOutcome(NamedTuple):
    """An outcome to publish again: the inbox's JSON of an `OutcomeRecord`, the reply for the
    repeated delivery, and the time."""

    stored: str
    reply: Reply
    now: float


class UnsentEvent(msgspec.Struct, frozen=True):
    """One event that waits in the outbox. The oldest has the lowest `position`.

    `tries` counts how often the broker did not take it, `losses` how often the channel was lost
    over it.
    """

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
    tries: int = 0
    losses: int = 0


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
            "headers": msgspec.json.encode(reply.headers).decode(),
        }
        rows.append(row | reply_columns)
    return rows


def add_rows(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Add events in the given order."""
    if rows:
        _insert(connection, rows)
        _notify(connection, rows)


def add_events(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Add events in the given order. Returns the subject and the position of each."""
    if not rows:
        return []
    positions = _insert.positions(connection, rows)
    _notify(connection, rows)
    return [(row["subject"], position) for row, position in zip(rows, positions, strict=True)]


def _notify(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    for is_reply in {row["exchange"] == "reply" for row in rows}:
        notify_on_commit(connection, "replies" if is_reply else "outbox")


_insert: Final = numbered_insert(
    outbox.c.position,
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

    Each repeat gets its reply. The results exchange gets each outcome once for all these repeats.
    An outcome that is deferred or set aside is not added again. An unsent outcome is added again:
    it may be on its way already, and then a publisher that received it and repeats its command
    would wait in vain.
    """
    records = [msgspec.json.decode(repeat.stored, type=OutcomeRecord) for repeat in repeats]
    held = _find_held(connection, {record.event_id for record in records})
    for record, repeat in zip(records, repeats, strict=True):
        publish = record.event_id not in held
        held.add(record.event_id)
        add_rows(connection, outcome_rows(record, repeat.reply, now=repeat.now, publish=publish))


def _find_held(connection: sa.Connection, event_ids: Iterable[str]) -> set[str]:
    """The ids among these that are deferred or set aside on their way to the results exchange.

    This reads every event that is held, so pass many ids at once.
    """
    ids = sorted(event_ids)
    if not ids:
        return set()
    held = sa.select(outbox.c.event_id).where(
        HELD, outbox.c.exchange == "results", outbox.c.event_id.in_(ids)
    )
    return set(connection.execute(held).scalars())


# Reading events


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the oldest events that are to be published now.

    `marks` has the results of the page before, at `now`. `replies` picks replies or all others;
    None picks both. With `resume`, deferred events whose time has come are ready again.
    """

    limit: int
    marks: PageMarks = PageMarks()
    now: float = 0.0
    replies: bool | None = None
    resume: bool = False


def read_unsent(
    connection: sa.Connection, requests: Sequence[PageRequest]
) -> list[LateResult[list[UnsentEvent]]]:
    """Operation: mark the events of earlier pages, then read the oldest events that are ready.

    An event is skipped while an earlier event of its subject is deferred. A reply waits only for
    earlier replies of its subject to the same queue, and no event waits for a reply.
    """
    mark(connection, [(request.marks, request.now) for request in requests])
    for request in requests:
        if request.resume:
            # Before deferred events are ready again, because it moves the barriers on.
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


def measure_depth(connection: sa.Connection, requests: Sequence[None]) -> list[OutboxDepth]:
    """Operation: how many events are unsent, and since when."""
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
    depth = OutboxDepth(
        events=unsent - set_aside,
        oldest_at=oldest_at,
        deferred=held.get(False, 0),
        set_aside=set_aside,
    )
    return [depth] * len(requests)
