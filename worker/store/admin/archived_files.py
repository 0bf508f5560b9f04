"""Reads the archive's tables beside the workers: for `archive` on the command line."""

from collections.abc import Iterator
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
    for states, build, decode in _LISTS:
        if room and (condition.state is None or condition.state in states):
            for row in connection.execute(build(condition, room)):
                room -= 1
                yield decode(row)


def _queued(condition: EntriesFilter, limit: int) -> sa.Select[Any]:
    query = sa.select(archive_files).where(QUEUED, *_matches(archive_files, condition))
    return query.order_by(archive_files.c.expires_at).limit(limit)


def _manifests(condition: EntriesFilter, limit: int) -> sa.Select[Any]:
    query = sa.select(archive_recordings).where(
        MANIFEST_DUE, *_matches(archive_recordings, condition)
    )
    return query.order_by(archive_recordings.c.manifest_due_at).limit(limit)


def _failed(condition: EntriesFilter, limit: int) -> sa.Select[Any]:
    query = sa.select(archive_files).where(FAILED, *_matches(archive_files, condition))
    return query.order_by(archive_files.c.queued_at.desc()).limit(limit)


def _settled(condition: EntriesFilter, limit: int) -> sa.Select[Any]:
    columns = archive_files.c
    states = [condition.state] if condition.state else ["archived", "external"]
    latest = (columns.archived_at.desc().nulls_last(), columns.queued_at.desc())
    # There is no index for this order. Sorting the keys alone takes a fifth of the time.
    keys = (
        sa.select(columns.recording_id, columns.file_index)
        .where(columns.state.in_(states), *_matches(archive_files, condition))
        .order_by(*latest)
        .limit(limit)
        .subquery()
    )
    is_key = sa.and_(
        columns.recording_id == keys.c.recording_id, columns.file_index == keys.c.file_index
    )
    return sa.select(archive_files).join(keys, is_key).order_by(*latest)


def _matches(table: sa.Table, condition: EntriesFilter) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if condition.app is not None:
        conditions.append(table.c.app == condition.app)
    if condition.recording_id is not None:
        conditions.append(table.c.recording_id == condition.recording_id)
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


_LISTS: Final = (
    ({"queued"}, _queued, _file_entry),
    ({"queued"}, _manifests, _manifest_entry),
    ({"failed"}, _failed, _file_entry),
    ({"archived", "external"}, _settled, _file_entry),
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
