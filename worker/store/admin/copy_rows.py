"""The archive's rows as `archive verify` needs them."""

from collections.abc import Collection
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.domain.archive import CopiedFile
from worker.store.database.archive_schema import archive_files, archive_recordings
from worker.store.database.dialects import among


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


class ManifestPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest, and the index of the file of its recording that was archived last."""

    manifest: StoredManifest
    last_file_index: int


def copy_of(row: sa.Row[Any]) -> StoredCopy:
    """The file of a row with its `recording_id`, `file_index`, `file` and `copied`."""
    return StoredCopy(
        recording_id=row.recording_id,
        file_index=row.file_index,
        file_name=msgspec.json.decode(row.file, type=_Named).file_name,
        copied=msgspec.json.decode(row.copied, type=CopiedFile),
    )


class _Named(msgspec.Struct):
    file_name: str


def read_manifests(connection: sa.Connection, ids: Collection[str]) -> dict[str, ManifestPosition]:
    """The manifests of these recordings, by their ids.

    A manifest is left out if a newer one must be written.
    """
    copies: dict[str, _Rows] = {}
    for row in connection.execute(_COPIED, {"ids": sorted(ids)}).all():
        copies.setdefault(row.recording_id, []).append(row)
    return {
        recording_id: _position(recording_id, manifest_url, copies[recording_id])
        for recording_id, manifest_url in connection.execute(_WRITTEN, {"ids": sorted(ids)})
        if recording_id in copies
    }


_Rows = list[sa.Row[Any, Any, Any, Any]]


def _position(recording_id: str, manifest_url: str, copies: _Rows) -> ManifestPosition:
    checksums = [msgspec.json.decode(copy.copied, type=CopiedFile).sha256 for copy in copies]
    last = max(copies, key=lambda copy: (copy.archived_at, copy.file_index))
    manifest = StoredManifest(
        recording_id=recording_id, manifest_url=manifest_url, checksums=tuple(checksums)
    )
    return ManifestPosition(manifest=manifest, last_file_index=last.file_index)


_COPIED: Final = (
    sa.select(
        archive_files.c.recording_id,
        archive_files.c.file_index,
        archive_files.c.copied,
        archive_files.c.archived_at,
    )
    .where(
        among(archive_files.c.recording_id, "ids"),
        archive_files.c.state == "archived",
        archive_files.c.copied.is_not(None),
    )
    .order_by(archive_files.c.recording_id, archive_files.c.file_index)
)
_WRITTEN: Final = sa.select(
    archive_recordings.c.recording_id, archive_recordings.c.manifest_url
).where(
    among(archive_recordings.c.recording_id, "ids"),
    archive_recordings.c.manifest_url.is_not(None),
    archive_recordings.c.manifest_due_at.is_(None),
)
