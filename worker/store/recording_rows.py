"""The rows of recordings, as the transactions that change them read and write them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Recording, RecordingEvent
from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, meeting_key, open_or_closed, texts
from worker.store.database.direct import DirectStatement, LaterRows, Rows
from worker.store.database.schema import recordings
from worker.store.database.submissions import LateResult
from worker.store.event_positions import positions_by_subject, with_positions
from worker.store.outbox import add_events, event_rows


class RecordingRow(NamedTuple):
    """A recording, when it must be read, when the last webhook about it arrived, where its events
    are, and when it must be stopped. The fields have the order of `_STATES`."""

    recording: Recording
    read_at: float | None = None
    webhook_at: float | None = None
    event_positions: str | None = None
    stop_at: float | None = None


def add_own_events(
    connection: sa.Connection,
    row: RecordingRow,
    events: Sequence[RecordingEvent],
    *,
    source: str,
    at: datetime,
) -> None:
    """Add events without an observation to a recording that this transaction has locked."""
    before = row.recording
    after = msgspec.structs.replace(
        before, version=before.version + 1, sequence=before.sequence + len(events)
    )
    rows = {before.recording_id: row._replace(recording=after)}
    note_positions(rows, add_events(connection, event_rows(after, events, source=source, at=at)))
    save_rows(connection, {before.recording_id: row}, rows)


def note_positions(rows: dict[str, RecordingRow], events: Iterable[tuple[str, int]]) -> None:
    """Note in `rows` the positions of these events in the outbox, each with its subject."""
    for recording_id, added in positions_by_subject(events).items():
        row = rows[recording_id]
        positions = with_positions(row.event_positions, added.first, added.last)
        rows[recording_id] = row._replace(event_positions=positions)


def load_rows(connection: sa.Connection, ids: Collection[str]) -> dict[str, RecordingRow]:
    """The rows of these recordings by id, locked until the end of the transaction."""
    return lock_rows(connection, ids).get()


def lock_rows(
    connection: sa.Connection, ids: Collection[str]
) -> LateResult[dict[str, RecordingRow]]:
    """As `load_rows`, at the latest when the result is asked for."""
    rows = (
        _STATES.later_rows(connection, {"ids": texts(connection, ids)})
        if ids
        else LaterRows(connection, [])
    )
    return LateResult(rows, _recording_rows)


def _recording_rows(rows: Rows) -> dict[str, RecordingRow]:
    return {
        recording_id: RecordingRow(msgspec.json.decode(state, type=Recording), *columns)
        for recording_id, state, *columns in rows
    }


_STATES: Final = DirectStatement(
    sa.select(
        recordings.c.recording_id,
        recordings.c.state,
        recordings.c.read_at,
        recordings.c.webhook_at,
        recordings.c.event_positions,
        recordings.c.stop_at,
    )
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def save_rows(
    connection: sa.Connection, before: dict[str, RecordingRow], after: dict[str, RecordingRow]
) -> None:
    """Write the rows that are new or have changed."""
    new = [_columns(row) for recording_id, row in after.items() if recording_id not in before]
    changed = [
        {"at_id": recording_id, **_columns(row)}
        for recording_id, row in after.items()
        if recording_id in before and row != before[recording_id]
    ]
    _insert(connection, new)
    _update.execute_for_each(connection, changed)


_insert: Final = bulk_insert(recordings)
_CHANGEABLE = [column.key for column in recordings.c if not column.primary_key]
_update: Final = DirectStatement(
    sa.update(recordings)
    .where(open_or_closed(recordings.c.recording_id == sa.bindparam("at_id")))
    .values({name: sa.bindparam(name) for name in _CHANGEABLE})
)


def _columns(row: RecordingRow) -> dict[str, Any]:
    recording = row.recording
    return {
        "recording_id": recording.recording_id,
        "app": recording.app,
        "kind": recording.kind,
        "status": str(recording.status),
        "meeting_id": meeting_key(recording.meeting_id),
        "start_id": recording.start_id,
        "version": recording.version,
        "open": recording.is_open,
        "state": msgspec.json.encode(recording).decode(),
        "changed_at": recording.changed_at.timestamp() if recording.changed_at else 0.0,
        "first_seen_at": recording.first_seen_at and recording.first_seen_at.timestamp(),
        "read_at": row.read_at,
        "webhook_at": row.webhook_at,
        "event_positions": row.event_positions,
        "stop_at": row.stop_at,
    }
