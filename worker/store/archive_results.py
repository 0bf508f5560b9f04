"""Commits the result of a copy or a manifest, together with its event.

A result counts only if its owner still has the work. Another replica may have taken it over.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, FileReady
from worker.domain.archive import CopiedFile
from worker.domain.archive_events import archive_failed, archived, file_archived
from worker.domain.recording import RecordingEvent
from worker.domain.times import utc
from worker.store.archive_intake import settle_manifest
from worker.store.archive_queue import is_file, make_requeued_due
from worker.store.archive_replaced import LateCopy, note_late_copy_of_locked
from worker.store.database.archive_schema import (
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.notifications import notify_on_commit
from worker.store.recording_rows import RecordingRow, add_own_events, load_rows


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A file of this `round` that `owner` copied from `download_url` and compared, at `now`, in
    seconds since the epoch."""

    recording_id: str
    file_index: int
    round: int
    owner: str
    copied: CopiedFile
    now: float
    download_url: str | None = None


class CopyFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A file of this `round` that `owner` could not copy.

    With `due_at` it is tried again then, and the event says that the storage refuses it. With None
    it is given up.
    """

    recording_id: str
    file_index: int
    round: int
    owner: str
    error: ErrorInfo
    now: float
    due_at: float | None = None
    refusals: int = 0


class ManifestResult(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that `owner` wrote, of the state that `changes` counts."""

    recording_id: str
    owner: str
    changes: int
    manifest_url: str
    copies: tuple[CopiedFile, ...]
    now: float


class ManifestRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that the storage refuses. It is tried again at `due_at`."""

    recording_id: str
    owner: str
    attempts: int
    error: ErrorInfo
    now: float
    due_at: float


def copy_done(connection: sa.Connection, request: CopyResult, source: str) -> bool:
    """Mark a file as archived, and add its event. False if the owner no longer has the file.

    A file that was queued again meanwhile is announced too, and stays queued. An owner that lost
    the file may have replaced the copy of another one: see `note_late_copy`.
    """
    recording = _lock(connection, request.recording_id)
    row = _owned_file(connection, request.recording_id, request.file_index, request.owner)
    if recording is None:
        return False
    if row is None:
        note_late_copy_of_locked(connection, _late(request))
        return False
    file = msgspec.json.decode(row.file, type=FileReady)
    is_settled = row.round == request.round
    connection.execute(
        sa.update(archive_files)
        .where(is_file(request.recording_id, request.file_index))
        .values(
            state="archived" if is_settled else "queued",
            copied=msgspec.json.encode(request.copied).decode(),
            archived_at=request.now,
            due_at=None if is_settled else request.now,
            owner=None,
            download_url=None if is_settled else row.download_url,
            refusals=0,
            denials=0,
            last_error=None,
        )
    )
    if not is_settled:
        notify_on_commit(connection, "archive")
    event = file_archived(recording.recording, file, request.copied, utc(request.now))
    _publish(connection, recording, event, source, request.now)
    settle_manifest(connection, request.recording_id, request.now)
    return True


def _late(request: CopyResult) -> LateCopy:
    return LateCopy(
        recording_id=request.recording_id,
        file_index=request.file_index,
        download_url=request.download_url,
        copied=request.copied,
        now=request.now,
    )


def copy_failed(connection: sa.Connection, request: CopyFailure, source: str) -> bool:
    """Give a file up, or return it to the queue, and add the event about it.

    False if the owner has lost the file, or if the file was queued again meanwhile. Then it is due
    at once.
    """
    recording = _lock(connection, request.recording_id)
    row = _owned_file(connection, request.recording_id, request.file_index, request.owner)
    if recording is None or row is None:
        return False
    if row.round != request.round:
        make_requeued_due(connection, request.recording_id, request.file_index, request.owner)
        return False
    is_final = request.due_at is None
    # An earlier copy is still in the storage.
    given_up = "archived" if row.copied else "failed"
    connection.execute(
        sa.update(archive_files)
        .where(is_file(request.recording_id, request.file_index))
        .values(
            state=given_up if is_final else "queued",
            due_at=request.due_at,
            owner=None,
            refusals=request.refusals,
            last_error=msgspec.json.encode(request.error).decode(),
            download_url=None if is_final else row.download_url,
        )
    )
    name = msgspec.json.decode(row.file, type=FileReady).file_name
    event = archive_failed(
        recording.recording,
        name,
        attempts=row.attempts,
        final=is_final,
        error=request.error,
    )
    _publish(connection, recording, event, source, request.now)
    if is_final:
        settle_manifest(connection, request.recording_id, request.now)
    return True


def manifest_done(connection: sa.Connection, request: ManifestResult, source: str) -> bool:
    """Note a manifest as written, and add its event.

    False if something was added meanwhile, or another replica has the manifest. Then it is written
    again, and that one is announced.
    """
    recording = _lock(connection, request.recording_id)
    if recording is None:
        return False
    done = connection.execute(
        sa.update(archive_recordings)
        .where(
            archive_recordings.c.recording_id == request.recording_id,
            archive_recordings.c.owner == request.owner,
            archive_recordings.c.changes == request.changes,
        )
        .values(
            manifest_due_at=None,
            owner=None,
            attempts=0,
            last_error=None,
            manifest_url=request.manifest_url,
            manifest_at=request.now,
        )
    )
    if not done.rowcount:
        if not _write_once_more(connection, request):
            # Another replica took it over. Its manifest may be newer, and may be overwritten now.
            settle_manifest(connection, request.recording_id, request.now)
        return False
    event = archived(recording.recording, request.copies, request.manifest_url)
    _publish(connection, recording, event, source, request.now)
    return True


def _write_once_more(connection: sa.Connection, request: ManifestResult) -> bool:
    """Make a manifest due at once if its owner still has it, because something was added."""
    again = connection.execute(
        sa.update(archive_recordings)
        .where(
            archive_recordings.c.recording_id == request.recording_id,
            archive_recordings.c.owner == request.owner,
            MANIFEST_DUE,
        )
        .values(manifest_due_at=request.now, owner=None, attempts=0)
    )
    if again.rowcount:
        notify_on_commit(connection, "archive")
    return again.rowcount == 1


def manifest_refused(connection: sa.Connection, request: ManifestRefusal, source: str) -> bool:
    """Return a manifest to the queue that the storage refuses, and add the event about it."""
    recording = _lock(connection, request.recording_id)
    if recording is None:
        return False
    refused = connection.execute(
        sa.update(archive_recordings)
        .where(
            archive_recordings.c.recording_id == request.recording_id,
            archive_recordings.c.owner == request.owner,
        )
        .values(
            manifest_due_at=request.due_at,
            owner=None,
            last_error=msgspec.json.encode(request.error).decode(),
        )
    )
    if not refused.rowcount:
        return False
    event = archive_failed(
        recording.recording, None, attempts=request.attempts, final=False, error=request.error
    )
    _publish(connection, recording, event, source, request.now)
    return True


def _lock(connection: sa.Connection, recording_id: str) -> RecordingRow | None:
    """The recording, locked before its files: every transaction locks them in this order."""
    return load_rows(connection, [recording_id]).get(recording_id)


def _owned_file(connection: sa.Connection, recording_id: str, file_index: int, owner: str) -> Any:  # noqa: ANN401 - a row of these columns, or None
    return connection.execute(
        sa.select(
            archive_files.c.file,
            archive_files.c.copied,
            archive_files.c.download_url,
            archive_files.c.attempts,
            archive_files.c.round,
        ).where(is_file(recording_id, file_index), QUEUED, archive_files.c.owner == owner)
    ).one_or_none()


def _publish(
    connection: sa.Connection,
    recording: RecordingRow,
    event: RecordingEvent,
    source: str,
    now: float,
) -> None:
    add_own_events(connection, recording, [event], source=source, at=utc(now))
    notify_on_commit(connection, "outbox")
