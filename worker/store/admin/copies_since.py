"""Reads the copies since a time in the order of copying: `archive verify --since`.

It does not read the earlier ones, because there may be millions.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from worker.store.admin.archived_files import apps_in_state
from worker.store.admin.copy_rows import StoredCopy, StoredManifest, copy_of, read_manifests
from worker.store.admin.read_only import open_read_only
from worker.store.database.archive_schema import ARCHIVED, archive_files
from worker.store.database.postgresql import Pooler

_Key = tuple[float, str, int]
_COLUMNS: Final = archive_files.c
_KEY: Final = (_COLUMNS.archived_at, _COLUMNS.recording_id, _COLUMNS.file_index)


def each_since(
    url: str, since: float, *, app: str | None, pooler: Pooler, page_size: int
) -> Iterator[StoredCopy | StoredManifest]:
    """Each file that was archived at `since` or later, the earliest of each app first.

    A manifest follows the file of its recording that was archived last.
    """
    with open_read_only(url, pooler=pooler) as connection:
        apps = list(apps_in_state(connection, ARCHIVED)) if app is None else [app]
    for of_app in apps:
        after: _Key | None = (since, "", 0)
        while after is not None:
            with open_read_only(url, pooler=pooler) as connection:
                rows = connection.execute(_page(of_app, after, page_size)).all()
                manifests = read_manifests(connection, {row.recording_id for row in rows})
            for row in rows:
                yield copy_of(row)
                position = manifests.get(row.recording_id)
                if position is not None and position.last_file_index == row.file_index:
                    yield position.manifest
            after = _key(rows[-1]) if len(rows) == page_size else None


def _key(row: sa.Row[Any]) -> _Key:
    return row.archived_at, row.recording_id, row.file_index


def _page(app: str, after: _Key, page_size: int) -> sa.Select[Any]:
    return (
        sa.select(*_KEY, _COLUMNS.file, _COLUMNS.copied)
        .where(
            ARCHIVED,
            _COLUMNS.copied.is_not(None),
            _COLUMNS.app == app,
            _COLUMNS.archived_at >= after[0],  # for the index, which has only this part of the key
            sa.tuple_(*_KEY) > after,
        )
        .order_by(*_KEY)
        .limit(page_size)
    )
