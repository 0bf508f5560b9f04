"""The outbox: events that are committed and that the broker has not confirmed yet.

They are added here. `unsent_events.py` reads them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from worker.domain.event_envelopes import ID_CONFLICT_HEADER, OutcomeRecord, recording_envelopes
from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import numbered_insert
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import HELD, outbox
from worker.store.database.submissions import LateResult

OutboxExchange = Literal["status", "files", "results", "reply"]


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address of the reply that one delivery of a command names for the outcome.

    `metadata` is that of a start which is stored with its address: a stop may end such a start when
    no worker has its message. `id_conflict`: the delivery has another body than the outcome's
    command.
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


def event_rows(
    after: Recording, events: Sequence[RecordingEvent], *, source: str, at: datetime
) -> list[dict[str, Any]]:
    """Rows for the events of one recording. `after.sequence` is the number of the last of them."""
    if not events:
        return []
    start = after.start
    headers = msgspec.json.encode(after.trace).decode()
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


def add_events(
    connection: sa.Connection, rows: list[dict[str, Any]], reserved: Sequence[int] = ()
) -> list[tuple[str, int]]:
    """Add events in the given order. Returns the subject and the position of each.

    `reserved`: positions from `reserve_positions`.
    """
    if not rows:
        return []
    positions = _insert.positions(connection, rows, reserved)
    _notify(connection, rows)
    return [(row["subject"], position) for row, position in zip(rows, positions, strict=True)]


def reserve_positions(connection: sa.Connection, count: int) -> LateResult[Sequence[int]]:
    """Positions for the events that this transaction adds next.

    Reserve them when the recordings are locked, and use them before other events of these
    recordings are added. Otherwise an event could get a position before that of an earlier event of
    its recording.
    """
    return _insert.reserve(connection, count)


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
    An outcome that is deferred or set aside is not added again. An unsent outcome is added again,
    because it may be in flight: a publisher that receives it and then repeats its command would
    wait forever.
    """
    records = [msgspec.json.decode(repeat.stored, type=OutcomeRecord) for repeat in repeats]
    held = _find_held(connection, {record.event_id for record in records})
    for record, repeat in zip(records, repeats, strict=True):
        publish = record.event_id not in held
        held.add(record.event_id)
        add_rows(connection, outcome_rows(record, repeat.reply, now=repeat.now, publish=publish))


def _find_held(connection: sa.Connection, event_ids: Iterable[str]) -> set[str]:
    """The ids among these whose publication to the results exchange is deferred or set aside.

    This reads every held event, so pass many ids at once.
    """
    ids = sorted(event_ids)
    if not ids:
        return set()
    held = sa.select(outbox.c.event_id).where(
        HELD, outbox.c.exchange == "results", outbox.c.event_id.in_(ids)
    )
    return set(connection.execute(held).scalars())
