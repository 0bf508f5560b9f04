"""The archive for the console: waiting files, files given up, and the files of a recording.

Each query reads an index of queued or failed files, or the rows of one recording.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo
from worker.domain.archive import ArchiveFile
from worker.store.admin.archived_files import latest_copies
from worker.store.archive_reading import ArchiveDepth, archive_file, measure, read_files
from worker.store.database.archive_schema import (
    FAILED,
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.schema import HAS_URL, files

MAX_LISTED: Final = 100
MAX_COPIES: Final = 30
MAX_COUNTED: Final = 10_000


class ManifestState(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a recording. It must be written again while `due_at` is set.

    `last_error` is why the last attempt did not write it.
    """

    url: str | None
    written_at: float | None
    due_at: float | None
    last_error: ErrorInfo | None = None


class ExpiringFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose URL expires. `is_queued`: it waits to be archived before that."""

    recording_id: str
    file_name: str
    expires_at: float
    is_queued: bool


class ArchiveState(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the queue, and how many manifests must be written. Also the files that expire
    first, those given up last, and those copied last."""

    depth: ArchiveDepth
    queued: tuple[ArchiveFile, ...]
    failed: tuple[ArchiveFile, ...]
    copied: tuple[ArchiveFile, ...]
    manifests_due: int


def read_archive(connection: sa.Connection) -> ArchiveState:
    """What waits, what failed, and the last copies."""
    soonest = _ROWS.where(QUEUED).order_by(archive_files.c.expires_at).limit(MAX_LISTED)
    failed = _ROWS.where(FAILED).order_by(archive_files.c.queued_at.desc()).limit(MAX_LISTED)
    due = sa.select(archive_recordings.c.manifest_due_at).where(MANIFEST_DUE).limit(MAX_COUNTED)
    count = sa.select(sa.func.count()).select_from(due.subquery())
    return ArchiveState(
        depth=measure(connection),
        queued=tuple(_decoded(connection, soonest)),
        failed=tuple(_decoded(connection, failed)),
        copied=tuple(archive_file(row) for row in latest_copies(connection, MAX_COPIES)),
        manifests_due=connection.execute(count).scalar_one(),
    )


def next_expiry(connection: sa.Connection, now: float) -> ExpiringFile | None:
    """The file that is lost first without an intervention. None if no such file is known.

    With an archive, that is a file which still waits to be copied. Without one, the worker does not
    know which files are downloaded, so it is the file whose URL expires first.
    """
    soonest = _ROWS.where(QUEUED).order_by(archive_files.c.expires_at).limit(1)
    for file in _decoded(connection, soonest):
        return ExpiringFile(
            recording_id=file.recording_id,
            file_name=file.file.file_name,
            expires_at=file.expires_at or 0.0,
            is_queued=True,
        )
    if connection.execute(_ANY_ARCHIVE).first() is not None:
        return None
    row = connection.execute(_NEXT_URL, {"now": now}).first()
    return row and ExpiringFile(
        recording_id=row.recording_id,
        file_name=row.file_name,
        expires_at=row.url_expires_at,
        is_queued=False,
    )


_ANY_ARCHIVE: Final = sa.select(archive_recordings.c.recording_id).limit(1)
_NEXT_URL: Final = (
    sa.select(files.c.recording_id, files.c.file_name, files.c.url_expires_at)
    .where(HAS_URL, files.c.url_expires_at > sa.bindparam("now"))
    .order_by(files.c.url_expires_at)
    .limit(1)
)


def read_recording_archive(
    connection: sa.Connection, recording_id: str
) -> tuple[tuple[ArchiveFile, ...], ManifestState | None]:
    """The files of a recording in the archive, and its manifest."""
    row = connection.execute(
        sa.select(
            archive_recordings.c.manifest_url,
            archive_recordings.c.manifest_at,
            archive_recordings.c.manifest_due_at,
            archive_recordings.c.last_error,
        ).where(archive_recordings.c.recording_id == recording_id)
    ).first()
    manifest = row and ManifestState(
        url=row[0],
        written_at=row[1],
        due_at=row[2],
        last_error=msgspec.json.decode(row[3], type=ErrorInfo) if row[3] else None,
    )
    return read_files(connection, recording_id), manifest


_ROWS: Final = sa.select(archive_files)


def _decoded(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[ArchiveFile]:
    for row in connection.execute(query):
        yield archive_file(row)
