"""Reads which copies and manifests the archive must have: for `archive verify`."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.store.admin.copies_since import each_since
from worker.store.admin.copy_rows import StoredCopy, StoredManifest, copy_of, read_manifests
from worker.store.admin.read_only import open_read_only
from worker.store.database.archive_schema import archive_files
from worker.store.database.dialects import among
from worker.store.database.postgresql import Pooler

PAGE_SIZE: Final = 500
"""How many files a page reads. The filter may remove all of them."""


class CopiesFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which copies to read: of these recordings, or of all if there are none; of one app.
    `since` selects copies archived at that time or later, in seconds since the epoch."""

    recording_ids: tuple[str, ...] = ()
    app: str | None = None
    since: float | None = None


def each_stored(
    url: str, condition: CopiesFilter, *, pooler: Pooler = "none", page_size: int = PAGE_SIZE
) -> Iterator[StoredCopy | StoredManifest]:
    """Each archived file, and after the files of a recording its manifest.

    A manifest is left out if a newer one must be written. One page is read at a time, so no
    transaction stays open. Raises as `open_read_only` does.
    """
    if condition.since is not None and not condition.recording_ids:
        yield from each_since(
            url, condition.since, app=condition.app, pooler=pooler, page_size=page_size
        )
        return
    after: _Key | None = ("", 0)
    manifest: StoredManifest | None = None
    while after is not None:
        with open_read_only(url, pooler=pooler) as connection:
            last = _end_of_page(connection, condition, after, page_size)
            copies = _read_copies(connection, condition, after, last)
            manifests = read_manifests(connection, {copy.recording_id for copy in copies})
        for copy in copies:
            if manifest is not None and manifest.recording_id != copy.recording_id:
                yield manifest
            position = manifests.get(copy.recording_id)
            manifest = None if position is None else position.manifest
            yield copy
        after = last
    if manifest is not None:
        yield manifest


_Key = tuple[str, int]


def _end_of_page(
    connection: sa.Connection, condition: CopiesFilter, after: _Key, page_size: int
) -> _Key | None:
    """The last file of a full page. None: the files behind `after` are the last ones.

    Independent of the filter, so that no statement reads through history.
    """
    columns = archive_files.c
    keys = sa.select(columns.recording_id, columns.file_index).where(after < _KEY)
    if condition.recording_ids:
        keys = keys.where(among(columns.recording_id, "ids"))
    keys = keys.order_by(columns.recording_id, columns.file_index).offset(page_size - 1).limit(1)
    row = connection.execute(keys, {"ids": list(condition.recording_ids)}).first()
    return None if row is None else (row.recording_id, row.file_index)


def _read_copies(
    connection: sa.Connection, condition: CopiesFilter, after: _Key, last: _Key | None
) -> list[StoredCopy]:
    query = _copies(condition).where(after < _KEY)
    if last is not None:
        query = query.where(last >= _KEY)
    rows = connection.execute(query, {"ids": list(condition.recording_ids)})
    return [copy_of(row) for row in rows]


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
