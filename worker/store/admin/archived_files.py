"""Reads the archive's tables beside the workers: for `archive` on the command line."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, FileReady
from worker.domain.archive import ArchiveState, CopiedFile
from worker.store.admin.read_only import open_read_only
from worker.store.database.archive_schema import (
    FAILED,
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.dialects import among
from worker.store.database.postgresql import Pooler

PAGE_SIZE: Final = 500


class EntriesFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list: at most `limit`, with None of every state, app and recording."""

    limit: int = 100
    state: ArchiveState | None = None
    app: str | None = None
    recording_id: str | None = None


class ArchiveEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the archive, or a manifest that is to be written, whose `file` is None.

    Times are seconds since the epoch. `is_taken`: a replica works on it until `due_at`. `due_at` is
    None if nothing is to be done. `has_url`: the worker has a download URL.
    """

    recording_id: str
    app: str
    state: ArchiveState
    file: FileReady | None = None
    file_index: int | None = None
    queued_at: float | None = None
    due_at: float | None = None
    url_expires_at: float | None = None
    is_taken: bool = False
    has_url: bool = False
    attempts: int = 0
    last_error: ErrorInfo | None = None
    copied: CopiedFile | None = None
    archived_at: float | None = None
    manifest_url: str | None = None


class CopiesFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which copies to read: of these recordings, or of all if there are none; of one app; archived
    at `since` or later, in seconds since the epoch."""

    recording_ids: tuple[str, ...] = ()
    app: str | None = None
    since: float | None = None


class StoredCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was archived."""

    recording_id: str
    file_index: int
    file_name: str
    copied: CopiedFile


class StoredManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that was written, and the SHA-256 of each archived file of its recording."""

    recording_id: str
    manifest_url: str
    checksums: tuple[str, ...]


def read_entries(
    url: str, condition: EntriesFilter, *, pooler: Pooler = "none"
) -> list[ArchiveEntry]:
    """The files in the archive, the most urgent first: queued by their URL's expiry, then manifests
    that wait, then failed ones, then the others, the latest first.

    `url` is a DATABASE_URL. Raises as `read_recordings` does.
    """
    with open_read_only(url, pooler=pooler) as connection:
        return list(_entries(connection, condition))


def _entries(connection: sa.Connection, condition: EntriesFilter) -> Iterator[ArchiveEntry]:
    room = condition.limit
    for states, statement, decode in _LISTS:
        if room and (condition.state is None or condition.state in states):
            table = statement.get_final_froms()[0]
            query = statement.where(*_matches(table, condition)).limit(room)
            for row in connection.execute(query):
                room -= 1
                yield decode(row)


def _matches(table: Any, condition: EntriesFilter) -> list[sa.ColumnElement[bool]]:  # noqa: ANN401
    conditions = []
    if condition.app is not None:
        conditions.append(table.c.app == condition.app)
    if condition.recording_id is not None:
        conditions.append(table.c.recording_id == condition.recording_id)
    if condition.state in {"archived", "external"}:
        conditions.append(table.c.state == condition.state)
    return conditions


def _file_entry(row: sa.Row[Any]) -> ArchiveEntry:
    is_queued = row.state == "queued"
    return ArchiveEntry(
        recording_id=row.recording_id,
        app=row.app,
        state=row.state,
        file=msgspec.json.decode(row.file, type=FileReady),
        file_index=row.file_index,
        queued_at=row.queued_at,
        due_at=row.due_at,
        url_expires_at=row.expires_at if is_queued else None,
        is_taken=is_queued and row.owner is not None,
        has_url=row.download_url is not None,
        attempts=row.attempts,
        last_error=_error(row.last_error),
        copied=msgspec.json.decode(row.copied, type=CopiedFile) if row.copied else None,
        archived_at=row.archived_at,
    )


def _manifest_entry(row: sa.Row[Any]) -> ArchiveEntry:
    return ArchiveEntry(
        recording_id=row.recording_id,
        app=row.app,
        state="queued",
        due_at=row.manifest_due_at,
        is_taken=row.owner is not None,
        attempts=row.attempts,
        last_error=_error(row.last_error),
        manifest_url=row.manifest_url,
    )


def _error(text: str | None) -> ErrorInfo | None:
    return msgspec.json.decode(text, type=ErrorInfo) if text else None


_FILES: Final = sa.select(archive_files)
_MANIFESTS: Final = sa.select(archive_recordings).where(MANIFEST_DUE)
_LISTS: Final = (
    ({"queued"}, _FILES.where(QUEUED).order_by(archive_files.c.expires_at), _file_entry),
    ({"queued"}, _MANIFESTS.order_by(archive_recordings.c.manifest_due_at), _manifest_entry),
    ({"failed"}, _FILES.where(FAILED).order_by(archive_files.c.queued_at.desc()), _file_entry),
    (
        {"archived", "external"},
        _FILES.where(archive_files.c.state.in_(("archived", "external"))).order_by(
            archive_files.c.archived_at.desc().nulls_last(), archive_files.c.queued_at.desc()
        ),
        _file_entry,
    ),
)


# For retry


def read_failed_recordings(
    url: str, *, app: str | None = None, pooler: Pooler = "none"
) -> list[tuple[str, str]]:
    """The id and the app of each recording with a file that was given up, the latest first."""
    latest = sa.func.max(archive_files.c.queued_at)
    query = (
        sa.select(archive_files.c.recording_id, archive_files.c.app)
        .where(FAILED)
        .group_by(archive_files.c.recording_id, archive_files.c.app)
        .order_by(latest.desc())
    )
    if app is not None:
        query = query.where(archive_files.c.app == app)
    with open_read_only(url, pooler=pooler) as connection:
        return [(recording_id, of_app) for recording_id, of_app in connection.execute(query)]


# For verify


def each_copy(
    url: str, condition: CopiesFilter, *, pooler: Pooler = "none", page_size: int = PAGE_SIZE
) -> Iterator[StoredCopy]:
    """Each file that was archived. A page is read at a time, so no transaction stays open."""
    after = ("", 0)
    while True:
        with open_read_only(url, pooler=pooler) as connection:
            query = _copies(condition).where(after < _KEY)
            rows = connection.execute(query, {"ids": list(condition.recording_ids)}).all()
        for row in rows:
            yield StoredCopy(
                recording_id=row.recording_id,
                file_index=row.file_index,
                file_name=msgspec.json.decode(row.file, type=_Named).file_name,
                copied=msgspec.json.decode(row.copied, type=CopiedFile),
            )
        if len(rows) < page_size:
            return
        after = (rows[-1].recording_id, rows[-1].file_index)


class _Named(msgspec.Struct):
    file_name: str


_KEY: Final = sa.tuple_(archive_files.c.recording_id, archive_files.c.file_index)


def _copies(condition: CopiesFilter) -> sa.Select[Any]:
    columns = archive_files.c
    query = (
        sa.select(columns.recording_id, columns.file_index, columns.file, columns.copied)
        .where(columns.state == "archived", columns.copied.is_not(None))
        .order_by(columns.recording_id, columns.file_index)
    )
    if condition.recording_ids:
        query = query.where(among(columns.recording_id, "ids"))
    if condition.app is not None:
        query = query.where(columns.app == condition.app)
    if condition.since is not None:
        query = query.where(columns.archived_at >= condition.since)
    return query


def read_manifest(url: str, recording_id: str, *, pooler: Pooler = "none") -> StoredManifest | None:
    """The manifest of a recording. None if there is none, or if a newer one is to be written."""
    query = sa.select(archive_recordings.c.manifest_url).where(
        archive_recordings.c.recording_id == recording_id,
        archive_recordings.c.manifest_due_at.is_(None),
    )
    with open_read_only(url, pooler=pooler) as connection:
        manifest_url = connection.execute(query).scalar()
        if manifest_url is None:
            return None
        texts = connection.execute(
            sa.select(archive_files.c.copied)
            .where(
                archive_files.c.recording_id == recording_id, archive_files.c.state == "archived"
            )
            .order_by(archive_files.c.file_index)
        ).scalars()
        return StoredManifest(
            recording_id=recording_id,
            manifest_url=manifest_url,
            checksums=_checksums(texts.all()),
        )


def _checksums(texts: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text, type=CopiedFile).sha256 for text in texts if text)
