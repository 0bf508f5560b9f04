"""Reads everything that the database has about one recording. Workers may run meanwhile."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Recording
from worker.store.admin.past_commands import PastCommand, find_command
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import files, inbox, outbox, recordings
from worker.store.event_positions import ranges_of

_COMPLETED: Final = "recording.completed.v1"

EventState = Literal["sent", "waiting", "refused", "set aside"]


class KnownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was announced. Times are seconds since the epoch. `url_expires_at` is about the
    URL that was published last."""

    file_index: int
    file_name: str
    user_id: str | None
    found_at: float
    url_expires_at: float | None


class KeptEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the outbox still has. `data` are the fields of its body."""

    event_id: str
    event_type: str
    sequence: str
    time: str
    routing_key: str
    state: EventState
    sent_at: float | None
    tries: int
    last_error: str | None
    data: dict[str, Any]


class RecordingDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, its start command, its files, and its events that are kept, oldest first.

    `has_more_events`: only the first ones were read.
    """

    recording: Recording
    start: PastCommand | None
    files: tuple[KnownFile, ...]
    events: tuple[KeptEvent, ...]
    has_more_events: bool

    def people_without_file(self) -> list[dict[str, Any]] | None:
        """The people named by the last completion among `events`. None if unknown."""
        completions = [event.data for event in self.events if event.event_type == _COMPLETED]
        return completions[-1].get("participants_without_file") if completions else None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What an id names: recordings, and the start command if it is the id of one."""

    recordings: tuple[RecordingDetails, ...]
    start: PastCommand | None


def find_details(connection: sa.Connection, wanted_id: str, *, max_events: int) -> Found:
    """Everything about the recording of this id, or the recordings of this start command."""
    start = find_command(connection, wanted_id)
    found = [
        _details(connection, *row, max_events=max_events)
        for row in _find_recordings(connection, wanted_id)
    ]
    return Found(recordings=tuple(found), start=start)


def _find_recordings(connection: sa.Connection, wanted_id: str) -> list[tuple[str, str | None]]:
    """The stored states and event positions."""
    rows = dict(connection.execute(_BY_ID, {"ids": [wanted_id]}).all()) or dict(
        connection.execute(_BY_START, {"ids": [wanted_id]}).all()
    )
    # A start that is done has its surplus recordings in the inbox.
    surplus = connection.execute(_SURPLUS, {"id": wanted_id}).scalar()
    if surplus:
        more = connection.execute(_BY_ID, {"ids": msgspec.json.decode(surplus)}).all()
        rows |= dict(more)
    return list(rows.items())


_STATES: Final = sa.select(recordings.c.state, recordings.c.event_positions)
_BY_ID: Final = _STATES.where(open_or_closed(among(recordings.c.recording_id, "ids")))
_BY_START: Final = _STATES.where(open_or_closed(among(recordings.c.start_id, "ids")))
_SURPLUS: Final = sa.select(inbox.c.acted_on).where(
    inbox.c.command_id == sa.bindparam("id"),
    inbox.c.state == "done",
    inbox.c.command_type.in_(("start_track_recording", "start_recording")),
)


def _details(
    connection: sa.Connection, state: str, positions: str | None, *, max_events: int
) -> RecordingDetails:
    recording = msgspec.json.decode(state, type=Recording)
    recording_id = recording.recording_id
    events = list(islice(_events(connection, recording_id, positions), max_events + 1))
    start_id = recording.start_id or recording.surplus_of
    return RecordingDetails(
        recording=recording,
        start=find_command(connection, start_id) if start_id else None,
        files=tuple(_files(connection, recording_id)),
        events=tuple(events[:max_events]),
        has_more_events=len(events) > max_events,
    )


def _files(connection: sa.Connection, recording_id: str) -> Iterator[KnownFile]:
    columns = (files.c[name] for name in KnownFile.__struct_fields__)
    query = (
        sa.select(*columns).where(files.c.recording_id == recording_id).order_by(files.c.file_index)
    )
    for row in connection.execute(query).mappings():
        yield KnownFile(**row)


def _events(
    connection: sa.Connection, recording_id: str, positions: str | None
) -> Iterator[KeptEvent]:
    for part in ranges_of(positions):
        values = {"id": recording_id, "first": part.first, "last": part.last}
        for row in connection.execute(_EVENTS, values).mappings():
            yield _event(row)


_EVENTS: Final = (
    sa.select(
        outbox.c.event_id,
        outbox.c.event_type,
        outbox.c.routing_key,
        outbox.c.sent_at,
        outbox.c.retry_at,
        outbox.c.tries,
        outbox.c.last_error,
        outbox.c.body,
    )
    .where(
        outbox.c.position >= sa.bindparam("first"),
        outbox.c.position <= sa.bindparam("last"),
        outbox.c.subject == sa.bindparam("id"),
        sa.text("outbox.exchange IN ('status', 'files')"),
    )
    .order_by(outbox.c.position)
)


def _event(row: sa.RowMapping) -> KeptEvent:
    body = msgspec.json.decode(row["body"])
    is_sent = row["sent_at"] is not None and row["retry_at"] == 0
    return KeptEvent(
        event_id=row["event_id"],
        event_type=row["event_type"],
        sequence=body["sequence"],
        time=body["time"],
        routing_key=row["routing_key"],
        state=_state(row),
        sent_at=row["sent_at"] if is_sent else None,
        tries=row["tries"],
        last_error=row["last_error"],
        data=body["data"],
    )


def _state(row: sa.RowMapping) -> EventState:
    """A dormant event of a replay has `sent_at` and a `retry_at`, and waits."""
    if row["sent_at"] is not None:
        return "waiting" if row["retry_at"] > 0 else "sent"
    if row["retry_at"] < 0:
        return "set aside"
    return "refused" if row["tries"] else "waiting"
