"""Reads the archive's tables while workers run: for `archive` on the command line."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, FileReady
from worker.domain.archive import ArchiveState, CopiedFile
from worker.store.database.archive_schema import (
    ARCHIVED,
    EXTERNAL,
    FAILED,
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.dialects import unindexed

UNREADABLE: Final = "unreadable"
"""The code of a row that this version cannot read."""


class EntriesFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list: at most `limit`; None means every state, app or recording."""

    limit: int = 100
    state: ArchiveState | None = None
    app: str | None = None
    recording_id: str | None = None


class ArchiveEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the archive, or a waiting manifest, whose `file_index` is None.

    `file` is None for a manifest, and for a row that cannot be read: see `last_error`.

    Times are seconds since the epoch. `is_taken`: a replica works on it until `due_at`. `due_at` is
    None if there is no work left. `has_url`: the worker has a download URL.
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


def find_entries(connection: sa.Connection, condition: EntriesFilter) -> list[ArchiveEntry]:
    """The files in the archive, the most urgent first.

    Queued files come in the order of their URLs' expiry, then waiting manifests, then failed files,
    then archived and external ones, the latest first.
    """
    entries: list[ArchiveEntry] = []
    for state, read, decode in _LISTS:
        room = condition.limit - len(entries)
        if room and condition.state in {None, state}:
            entries += map(decode, read(connection, condition, room))
    return entries


def latest_copies(connection: sa.Connection, limit: int) -> "Rows":
    """The rows of the files that were archived last, of all apps, the latest first."""
    return _archived(connection, EntriesFilter(limit=limit), limit)


Rows = Iterable[sa.Row[Any]]


def _queued(connection: sa.Connection, condition: EntriesFilter, limit: int) -> Rows:
    query = sa.select(archive_files).where(QUEUED, *_matches(archive_files, condition))
    return connection.execute(query.order_by(archive_files.c.expires_at).limit(limit))


def _manifests(connection: sa.Connection, condition: EntriesFilter, limit: int) -> Rows:
    query = sa.select(archive_recordings).where(
        MANIFEST_DUE, *_matches(archive_recordings, condition)
    )
    return connection.execute(query.order_by(archive_recordings.c.manifest_due_at).limit(limit))


def _failed(connection: sa.Connection, condition: EntriesFilter, limit: int) -> Rows:
    query = sa.select(archive_files).where(FAILED, *_matches(archive_files, condition))
    return connection.execute(query.order_by(archive_files.c.queued_at.desc()).limit(limit))


def _archived(connection: sa.Connection, condition: EntriesFilter, limit: int) -> Rows:
    return _latest(connection, condition, limit, ARCHIVED, archive_files.c.archived_at)


def _external(connection: sa.Connection, condition: EntriesFilter, limit: int) -> Rows:
    return _latest(connection, condition, limit, EXTERNAL, archive_files.c.queued_at)


def _latest(
    connection: sa.Connection,
    condition: EntriesFilter,
    limit: int,
    in_state: sa.TextClause,
    time: sa.Column[float],
) -> Rows:
    """The latest files in a state, by the index, which is divided by app."""
    if condition.app is not None or condition.recording_id is not None:
        query = sa.select(archive_files).where(in_state, *_matches(archive_files, condition))
        return connection.execute(query.order_by(time.desc()).limit(limit))
    rows = [
        row
        for app in apps_in_state(connection, in_state)
        for row in _latest(
            connection, msgspec.structs.replace(condition, app=app), limit, in_state, time
        )
    ]
    return sorted(rows, key=attrgetter(time.name), reverse=True)[:limit]


def apps_in_state(connection: sa.Connection, in_state: sa.TextClause) -> Iterator[str]:
    """The apps that have a file in this state: one lookup in the index for each."""
    app: str | None = ""
    while app is not None:
        query = sa.select(sa.func.min(archive_files.c.app)).where(
            in_state, archive_files.c.app > app
        )
        app = connection.execute(query).scalar()
        if app is not None:
            yield app


def _matches(table: sa.Table, condition: EntriesFilter) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if condition.app is not None:
        has_id = condition.recording_id is not None
        conditions.append((unindexed(table.c.app) if has_id else table.c.app) == condition.app)
    if condition.recording_id is not None:
        conditions.append(table.c.recording_id == condition.recording_id)
    return conditions


def _file_entry(row: sa.Row[Any]) -> ArchiveEntry:
    is_queued = row.state == "queued"
    try:
        file = msgspec.json.decode(row.file, type=FileReady)
        last_error = _error(row.last_error)
        copied = msgspec.json.decode(row.copied, type=CopiedFile) if row.copied else None
    except msgspec.MsgspecError as error:
        # A newer version may have written it. The other rows must still be shown.
        file, copied, last_error = None, None, _unreadable(error)
    return ArchiveEntry(
        recording_id=row.recording_id,
        app=row.app,
        state=row.state,
        file=file,
        file_index=row.file_index,
        queued_at=row.queued_at,
        due_at=row.due_at,
        url_expires_at=row.expires_at if is_queued else None,
        is_taken=is_queued and row.owner is not None,
        has_url=row.download_url is not None,
        attempts=row.attempts,
        last_error=last_error,
        copied=copied,
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
    try:
        return msgspec.json.decode(text, type=ErrorInfo) if text else None
    except msgspec.MsgspecError as error:
        return _unreadable(error)


def _unreadable(error: msgspec.MsgspecError) -> ErrorInfo:
    return ErrorInfo(code=UNREADABLE, message=f"the row cannot be read: {error}")


_LISTS: Final = (
    ("queued", _queued, _file_entry),
    ("queued", _manifests, _manifest_entry),
    ("failed", _failed, _file_entry),
    ("archived", _archived, _file_entry),
    ("external", _external, _file_entry),
)


# For retry


def find_failed_recordings(
    connection: sa.Connection, app: str | None = None
) -> list[tuple[str, str]]:
    """The id and the app of each recording with a file that was given up, the latest first."""
    query = (
        sa.select(archive_files.c.recording_id, archive_files.c.app)
        .where(FAILED)
        .order_by(archive_files.c.queued_at.desc())
    )
    if app is not None:
        query = query.where(archive_files.c.app == app)
    # Not grouped by the database, which would read all files in the order of their recordings.
    files = connection.execute(query)
    return list(dict.fromkeys((recording_id, of_app) for recording_id, of_app in files))
