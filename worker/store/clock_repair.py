"""Corrects times that were written while the clock was far ahead, so that no work waits for them.

These are the times of pending work: events to publish again, recordings to read or to stop, parked
commands, files to archive, and cursors. Finished rows keep their times, so they are kept longer.
"""

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.domain.max_duration import MAX_DURATION_SECONDS, latest_stop_at
from worker.domain.recording import Recording
from worker.domain.times import utc
from worker.store.database.archive_schema import (
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.dialects import open_or_closed
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import (
    HELD,
    UNFINISHED,
    inbox,
    named_times,
    outbox,
    parked,
    recordings,
)

MAX_AHEAD_SECONDS: Final = 7_200.0
"""Valid times of events and cursors are never this far ahead."""

MAX_RECORDINGS: Final = 100
"""One step corrects at most this many recordings for each of their times."""


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to correct the times that are too far ahead of `now`, in seconds since the epoch.

    No read is scheduled further ahead than `read_ahead`, in seconds. `all_ahead` asks to correct
    all times ahead of `now`.
    """

    now: float
    read_ahead: float
    all_ahead: bool = False

    @property
    def latest(self) -> float:
        """The latest valid time of an event, a call or a cursor."""
        return self.now if self.all_ahead else self.now + MAX_AHEAD_SECONDS

    @property
    def latest_read(self) -> float:
        """The latest valid time of a scheduled read."""
        return self.now if self.all_ahead else self.now + self.read_ahead


def correct_times(connection: sa.Connection, repair: Repair) -> bool:
    """Correct times that are too far ahead. Returns whether there may be more."""
    latest = repair.latest
    events = sa.update(outbox).where(HELD, outbox.c.retry_at > latest)
    if connection.execute(events.values(retry_at=repair.now)).rowcount:
        notify_on_commit(connection, "outbox")
        notify_on_commit(connection, "replies")
    is_cursor = ~named_times.c.name.startswith("prune/")
    cursors = sa.update(named_times).where(named_times.c.at > latest, is_cursor)
    connection.execute(cursors.values(at=repair.now))
    calls = sa.update(inbox).where(UNFINISHED, inbox.c.last_called_at > latest)
    # `called_at` stays, because it shows that the time of the call is unknown.
    connection.execute(calls.values(last_called_at=repair.now))
    _correct_parked(connection, repair)
    _correct_archive(connection, repair.now)
    return _correct_recordings(connection, repair)


def _correct_parked(connection: sa.Connection, repair: Repair) -> None:
    """Let commands wait for their whole time again, from now on."""
    now = repair.now
    for column in (inbox.c.waits_since, inbox.c.woken_at):
        waits = sa.update(inbox).where(UNFINISHED, column > repair.latest)
        connection.execute(waits.values({column: now}))
    looks = sa.update(parked).where(parked.c.ignore_lists_until > repair.latest)
    connection.execute(looks.values(ignore_lists_until=now))
    times = sa.update(parked).where(parked.c.parked_at > repair.latest)
    is_due = parked.c.due_at <= now
    wait = parked.c.due_at - parked.c.parked_at
    connection.execute(
        times.values(parked_at=now, due_at=sa.case((is_due, parked.c.due_at), else_=wait + now))
    )


def _correct_archive(connection: sa.Connection, now: float) -> None:
    """Try again now if the wait would be longer than any pause. Permanent leases are not
    changed."""
    latest = now + MAX_AHEAD_SECONDS
    files = sa.update(archive_files).where(QUEUED, archive_files.c.due_at > latest)
    changed = connection.execute(files.values(due_at=now, owner=None)).rowcount
    due_at = archive_recordings.c.manifest_due_at
    manifests = sa.update(archive_recordings).where(MANIFEST_DUE, due_at > latest)
    changed += connection.execute(manifests.values(manifest_due_at=now, owner=None)).rowcount
    if changed:
        notify_on_commit(connection, "archive")


def _correct_recordings(connection: sa.Connection, repair: Repair) -> bool:
    latest = repair.latest
    # One query for each, because each has a separate index.
    ahead = (
        sa.and_(recordings.c.open, recordings.c.changed_at > latest),
        sa.and_(recordings.c.open, recordings.c.first_seen_at > latest),
        recordings.c.read_at > repair.latest_read,
        recordings.c.stop_at > latest + MAX_DURATION_SECONDS,
    )
    found = [_correct_rows(connection, condition, repair.now) for condition in ahead]
    if any(found):
        notify_on_commit(connection, "due")
    return max(found) == MAX_RECORDINGS


def _correct_rows(connection: sa.Connection, condition: sa.ColumnElement[bool], now: float) -> int:
    found = connection.execute(
        sa.select(
            recordings.c.recording_id,
            recordings.c.state,
            recordings.c.read_at,
            recordings.c.stop_at,
        )
        .where(condition)
        .limit(MAX_RECORDINGS)
        .with_for_update(skip_locked=True)
    ).all()
    for recording_id, state, read_at, stop_at in found:
        recording = _corrected(msgspec.json.decode(state, type=Recording), utc(now))
        changed_at, first_seen_at = recording.changed_at, recording.first_seen_at
        latest_stop = (
            recording.stop_at.timestamp() if recording.stop_at else now + MAX_DURATION_SECONDS
        )
        connection.execute(
            sa.update(recordings)
            .where(open_or_closed(recordings.c.recording_id == recording_id))
            .values(
                state=msgspec.json.encode(recording).decode(),
                changed_at=changed_at.timestamp() if changed_at else 0.0,
                first_seen_at=first_seen_at and first_seen_at.timestamp(),
                read_at=None if read_at is None else min(read_at, now),
                stop_at=None if stop_at is None else min(stop_at, latest_stop),
            )
        )
    return len(found)


def _corrected(recording: Recording, now: datetime) -> Recording:
    search = recording.file_search
    if search is not None:
        search = msgspec.structs.replace(
            search,
            listed_since=min(search.listed_since, now),
            ended_at=search.ended_at and min(search.ended_at, now),
        )
    return msgspec.structs.replace(
        recording,
        first_seen_at=recording.first_seen_at and min(recording.first_seen_at, now),
        changed_at=recording.changed_at and min(recording.changed_at, now),
        missing_since=recording.missing_since and min(recording.missing_since, now),
        files_awaited_since=recording.files_awaited_since
        and min(recording.files_awaited_since, now),
        file_search=search,
        stop_at=recording.stop_at and min(recording.stop_at, latest_stop_at(recording, now)),
    )
