"""Reads the archive's tables: everything about one recording, and the size of the queue."""

from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, FileReady, ParticipantWithoutFile
from worker.domain.archive import (
    REFUSALS_BEFORE_EVENT,
    ArchiveFile,
    CopiedFile,
    RecordingArchive,
    StatusTime,
)
from worker.domain.snapshot import Participant
from worker.store.archive_history import note_missed_statuses
from worker.store.archive_queue import find_recording
from worker.store.database.archive_schema import (
    FAILED,
    MANIFEST_DUE,
    MANIFEST_REFUSED,
    QUEUED,
    archive_files,
    archive_recordings,
    archive_timeline,
)

Decoded = TypeVar("Decoded")


class ArchiveDepth(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the queue of files.

    `oldest_at`: since when the oldest file waits. `first_expiry`: when the first URL expires. Both
    are in seconds since the epoch, and None if no file waits. `refused`: files and manifests that
    the storage refuses. `failed`: files that were given up.
    """

    queued: int
    oldest_at: float | None
    first_expiry: float | None
    refused: int
    failed: int


def read_archive(connection: sa.Connection, recording_id: str) -> RecordingArchive | None:
    """Everything about the archive of a recording; None if it was removed.

    First notes statuses that only replicas without the archive saw.
    """
    recording = find_recording(connection, recording_id)
    if recording is None:
        return None
    note_missed_statuses(connection, recording_id)
    kept = connection.execute(
        sa.select(archive_recordings.c.participants, archive_recordings.c.without_file).where(
            archive_recordings.c.recording_id == recording_id
        )
    ).one_or_none()
    participants, without_file = kept or (None, None)
    return RecordingArchive(
        recording=recording,
        files=read_files(connection, recording_id),
        timeline=_read_timeline(connection, recording_id),
        participants=_decode(participants, tuple[Participant, ...]),
        without_file=_decode(without_file, tuple[ParticipantWithoutFile, ...]),
    )


def read_files(connection: sa.Connection, recording_id: str) -> tuple[ArchiveFile, ...]:
    """The files of a recording in the archive, in the order of their announcement."""
    rows = connection.execute(
        sa.select(archive_files)
        .where(archive_files.c.recording_id == recording_id)
        .order_by(archive_files.c.file_index)
    )
    return tuple(archive_file(row) for row in rows)


def archive_file(row: sa.Row[Any]) -> ArchiveFile:
    """A row of `archive_files` as a value, without its URL."""
    is_queued = row.state == "queued"
    return ArchiveFile(
        recording_id=row.recording_id,
        file_index=row.file_index,
        app=row.app,
        state=row.state,
        file=msgspec.json.decode(row.file, type=FileReady),
        queued_at=row.queued_at,
        due_at=row.due_at,
        expires_at=row.expires_at if is_queued else None,
        attempts=row.attempts,
        last_error=_decode(row.last_error, ErrorInfo),
        archived=_decode(row.copied, CopiedFile),
        archived_at=row.archived_at,
    )


def _read_timeline(connection: sa.Connection, recording_id: str) -> tuple[StatusTime, ...]:
    texts = connection.execute(
        sa.select(archive_timeline.c.status_time)
        .where(archive_timeline.c.recording_id == recording_id)
        .order_by(archive_timeline.c.sequence)
    ).scalars()
    return tuple(msgspec.json.decode(text, type=StatusTime) for text in texts)


def _decode(text: str | None, kind: type[Decoded]) -> Decoded | None:
    return None if text is None else msgspec.json.decode(text, type=kind)


def measure(connection: sa.Connection) -> ArchiveDepth:
    """The size of the queue."""
    queued, refused = connection.execute(_QUEUED).one()
    return ArchiveDepth(
        queued=queued,
        oldest_at=connection.execute(_first(archive_files.c.queued_at)).scalar(),
        first_expiry=connection.execute(_first(archive_files.c.expires_at)).scalar(),
        refused=(refused or 0) + connection.execute(_REFUSED_MANIFESTS).scalar_one(),
        failed=connection.execute(_FAILED).scalar_one(),
    )


def _first(column: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(sa.func.min(column)).where(QUEUED)


_QUEUED: Final = sa.select(
    sa.func.count(),
    sa.func.sum(sa.case((archive_files.c.refusals >= REFUSALS_BEFORE_EVENT, 1), else_=0)),
).where(QUEUED)
_REFUSED_MANIFESTS: Final = (
    sa.select(sa.func.count())
    .select_from(archive_recordings)
    .where(MANIFEST_DUE, MANIFEST_REFUSED, archive_recordings.c.attempts >= REFUSALS_BEFORE_EVENT)
)
_FAILED: Final = sa.select(sa.func.count()).select_from(archive_files).where(FAILED)
