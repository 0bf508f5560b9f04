"""The statuses of a recording in order, even those that no replica with the archive noted.

A replica without the archive notes nothing. It ran before the archive was switched on, or still
runs during a rolling update. The outbox keeps the events for a while.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import (
    CloudEvent,
    Completed,
    FileReady,
    FileUrlRenewed,
    NotAnEvent,
    StatusChanged,
    decode_event,
)
from worker.domain.archive import StatusTime
from worker.store.database.archive_schema import archive_timeline
from worker.store.database.dialects import open_or_closed
from worker.store.database.schema import outbox, recordings
from worker.store.event_positions import ranges_of
from worker.store.recording_rows import load_rows


def insert_statuses(
    connection: sa.Connection, recording_id: str, statuses: Mapping[int, StatusChanged]
) -> None:
    """Note statuses of a recording by the numbers of their events."""
    rows = [
        {
            "recording_id": recording_id,
            "sequence": number,
            "status_time": msgspec.json.encode(_status_time(status)).decode(),
        }
        for number, status in statuses.items()
    ]
    if rows:
        connection.execute(sa.insert(archive_timeline), rows)


def note_earlier_statuses(
    connection: sa.Connection, recording_id: str, events: Sequence[CloudEvent]
) -> None:
    """Note the statuses in these events that are not noted yet. The caller has locked the
    recording."""
    insert_statuses(connection, recording_id, _unnoted(connection, recording_id, events))


def note_missed_statuses(connection: sa.Connection, recording_id: str) -> None:
    """Note the statuses that the outbox still has and no replica noted."""
    positions = connection.execute(_POSITIONS, {"id": recording_id}).scalar()
    events = list(kept_events(connection, recording_id, positions))
    # Nearly every recording lacks none, so only the others are locked.
    if _unnoted(connection, recording_id, events) and load_rows(connection, [recording_id]):
        note_earlier_statuses(connection, recording_id, events)


def kept_events(
    connection: sa.Connection, recording_id: str, positions: str | None
) -> Iterator[CloudEvent]:
    """The events of a recording that the outbox keeps and the archive needs, the oldest first."""
    for part in ranges_of(positions):
        values = {"id": recording_id, "first": part.first, "last": part.last}
        for body in connection.execute(_EVENTS, values).scalars():
            try:
                event = decode_event(body)
            except NotAnEvent:
                continue
            if isinstance(event.data, StatusChanged | FileReady | FileUrlRenewed | Completed):
                yield event


_POSITIONS: Final = sa.select(recordings.c.event_positions).where(
    open_or_closed(recordings.c.recording_id == sa.bindparam("id"))
)
_EVENTS: Final = (
    sa.select(outbox.c.body)
    .where(
        outbox.c.position >= sa.bindparam("first"),
        outbox.c.position <= sa.bindparam("last"),
        outbox.c.subject == sa.bindparam("id"),
    )
    .order_by(outbox.c.position)
)


def _unnoted(
    connection: sa.Connection, recording_id: str, events: Sequence[CloudEvent]
) -> dict[int, StatusChanged]:
    found = {
        int(event.sequence or 0): event.data
        for event in events
        if isinstance(event.data, StatusChanged)
    }
    for number in connection.execute(_NOTED, {"id": recording_id}).scalars():
        found.pop(number, None)
    return found


_NOTED: Final = sa.select(archive_timeline.c.sequence).where(
    archive_timeline.c.recording_id == sa.bindparam("id")
)


def _status_time(event: StatusChanged) -> StatusTime:
    return StatusTime(
        status=event.status,
        observed_at=event.observed_at,
        observed_by=event.observed_by,
        invoked_time=event.invoked_time,
        started_time=event.started_time,
        stopped_time=event.stopped_time,
        stop_reason=event.stop_reason,
        error=event.error,
    )
