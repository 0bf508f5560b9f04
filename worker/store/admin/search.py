"""Finds the meaning of an id: a recording, a command, a meeting, or anything that an event names.

The first three have indexes. A meeting without a recording is searched in the newest commands, and
all other ids in the newest events. So a search never reads all of history.
"""

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Recording
from worker.domain.short_ids import ELLIPSIS
from worker.store.admin.command_pages import MAX_LOOKED_AT, find_meetings_of_starts
from worker.store.admin.past_commands import PastCommand, find_command
from worker.store.database.dialects import meeting_key, open_or_closed
from worker.store.database.schema import inbox, outbox, recordings

MAX_FOUND: Final = 20
MAX_EVENTS: Final = 20_000
"""How many of the newest events are searched for an id that has no index."""

MIN_PREFIX_LENGTH: Final = 4
_ABOVE_IDS: Final = "zzzzzzzz"
"""Sorts behind all letters and digits, in every language."""


class EventMention(msgspec.Struct, frozen=True, kw_only=True):
    """A kept event that names the id. `subject` is its recording or command."""

    event_id: str
    event_type: str
    subject: str
    correlation_id: str | None
    created_at: float


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an id may mean. `events` were searched back to `looked_back_to` only, if that
    is set, in seconds since the epoch. The id may be the beginning of one."""

    recordings: tuple[Recording, ...] = ()
    commands: tuple[PastCommand, ...] = ()
    meetings: tuple[str, ...] = ()
    events: tuple[EventMention, ...] = ()
    looked_back_to: float | None = None
    has_more: bool = False
    """More recordings or commands begin with the id than are found."""


def search(connection: sa.Connection, text: str, *, max_events: int = MAX_EVENTS) -> SearchResult:
    """All meanings of this id, or of the beginning of an id."""
    text = text.removesuffix(ELLIPSIS)  # the form of short ids in tables
    found_recordings = _recordings(connection, text)
    commands = _commands(connection, text)
    meetings = tuple(
        dict.fromkeys(
            recording.meeting_id
            for recording in found_recordings
            if recording.meeting_id and recording.meeting_id.lower().startswith(text.lower())
        )
    )
    if found_recordings or commands:
        return SearchResult(
            recordings=found_recordings[:MAX_FOUND],
            commands=commands[:MAX_FOUND],
            meetings=meetings,
            has_more=max(len(found_recordings), len(commands)) > MAX_FOUND,
        )
    meetings = _meetings_without_recording(connection, text, min(max_events, MAX_LOOKED_AT))
    if meetings:
        return SearchResult(meetings=meetings)
    events, looked_back_to = _mentions(connection, text, max_events)
    return SearchResult(events=events, looked_back_to=looked_back_to)


def _recordings(connection: sa.Connection, text: str) -> tuple[Recording, ...]:
    exact = (
        recordings.c.recording_id == text,
        recordings.c.start_id == text,
        recordings.c.meeting_id == meeting_key(text),
    )
    found: dict[str, Recording] = {}
    for condition in exact:
        found |= _decoded(connection, open_or_closed(condition))
    if not found and len(text) >= MIN_PREFIX_LENGTH:
        for column, prefix in (
            (recordings.c.recording_id, text),
            (recordings.c.start_id, text),
            (recordings.c.meeting_id, meeting_key(text) or text),
        ):
            found |= _decoded(connection, open_or_closed(_begins(column, prefix)))
    return tuple(found.values())


def _decoded(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> dict[str, Recording]:
    states = connection.execute(sa.select(recordings.c.state).where(condition).limit(MAX_FOUND + 1))
    decoded = (msgspec.json.decode(state, type=Recording) for state in states.scalars())
    return {recording.recording_id: recording for recording in decoded}


def _begins(column: sa.Column[Any], prefix: str) -> sa.ColumnElement[bool]:
    """A range of the index. It may have ids that begin otherwise, because languages ignore
    hyphens."""
    return sa.and_(column >= prefix, column < prefix + _ABOVE_IDS)


def _commands(connection: sa.Connection, text: str) -> tuple[PastCommand, ...]:
    exact = find_command(connection, text)
    if exact is not None or len(text) < MIN_PREFIX_LENGTH:
        return (exact,) if exact else ()
    ids = connection.execute(
        sa.select(inbox.c.command_id)
        .where(_begins(inbox.c.command_id, text))
        .order_by(inbox.c.command_id)
        .limit(MAX_FOUND + 1)
    ).scalars()
    found = (find_command(connection, command_id) for command_id in ids.all())
    return tuple(command for command in found if command is not None)


def _meetings_without_recording(
    connection: sa.Connection, text: str, max_commands: int
) -> tuple[str, ...]:
    """Meetings whose starts have failed, or wait."""
    if len(text) < MIN_PREFIX_LENGTH:
        return ()
    found = find_meetings_of_starts(connection, text, max_commands=max_commands)
    return found[:MAX_FOUND]


def _mentions(
    connection: sa.Connection, text: str, max_events: int
) -> tuple[tuple[EventMention, ...], float | None]:
    newest = (
        sa.select(outbox).order_by(outbox.c.position.desc()).limit(max_events).subquery("newest")
    )
    # In its JSON form. The driver passes bytes, and both engines can search for bytes.
    quoted = msgspec.json.encode(text)
    is_sqlite = connection.dialect.name == "sqlite"
    in_body = (
        sa.func.instr(newest.c.body, quoted)
        if is_sqlite
        else sa.func.position(sa.literal(quoted).op("IN")(newest.c.body))
    )
    names_it = sa.or_(newest.c.event_id == text, newest.c.correlation_id == text, in_body > 0)
    rows = connection.execute(
        sa.select(*(newest.c[name] for name in EventMention.__struct_fields__))
        .where(names_it)
        .order_by(newest.c.position.desc())
        .limit(MAX_FOUND)
    )
    found = tuple(EventMention(**row) for row in rows.mappings())
    return found, _oldest_searched(connection, max_events)


def _oldest_searched(connection: sa.Connection, max_events: int) -> float | None:
    """When the oldest searched event was committed. None if all were searched."""
    oldest: float | None = connection.execute(
        sa.select(outbox.c.created_at)
        .order_by(outbox.c.position.desc())
        .offset(max_events - 1)
        .limit(1)
    ).scalar()
    return oldest
