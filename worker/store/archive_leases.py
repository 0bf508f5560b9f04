"""The leases of files and manifests: extended while their owners work, else freed.

A replica takes a file or a manifest by moving its time to the end of a lease (`archive_queue.py`).
"""

import msgspec
import sqlalchemy as sa

from worker.store.archive_queue import is_file
from worker.store.database.archive_schema import (
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
)


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to keep what `owner` has until `until`: files and manifests of these recordings."""

    owner: str
    until: float
    files: tuple[tuple[str, int], ...]
    manifests: tuple[str, ...] = ()


def extend(connection: sa.Connection, request: Extension) -> None:
    """Extend the leases that the owner still has."""
    for recording_id, file_index in request.files:
        keep_file(connection, recording_id, file_index, request.owner, request.until)
    if request.manifests:
        connection.execute(
            sa.update(archive_recordings)
            .where(
                archive_recordings.c.recording_id.in_(request.manifests),
                archive_recordings.c.owner == request.owner,
                MANIFEST_DUE,
            )
            .values(manifest_due_at=request.until)
        )


def keep_file(
    connection: sa.Connection, recording_id: str, file_index: int, owner: str, until: float
) -> bool:
    """Extend the lease of a file. False if the owner no longer has the file."""
    kept = connection.execute(
        sa.update(archive_files)
        .where(is_file(recording_id, file_index), QUEUED, archive_files.c.owner == owner)
        .values(due_at=until)
    )
    return kept.rowcount == 1


def free_owned(connection: sa.Connection, owner: str | None = None) -> None:
    """Make an owner's work due at once; with None, that of every owner.

    Only for owners that certainly do not work any more.
    """
    for table, due, queued in (
        (archive_files, archive_files.c.due_at, QUEUED),
        (archive_recordings, archive_recordings.c.manifest_due_at, MANIFEST_DUE),
    ):
        is_owned = table.c.owner.is_not(None) if owner is None else table.c.owner == owner
        connection.execute(
            sa.update(table).where(queued, is_owned).values({due.name: 0.0, "owner": None})
        )


def next_due(connection: sa.Connection) -> float | None:
    """When the next file or manifest is due, in seconds since the epoch, or None."""
    files = sa.select(sa.func.min(archive_files.c.due_at)).where(QUEUED)
    manifests = sa.select(sa.func.min(archive_recordings.c.manifest_due_at)).where(MANIFEST_DUE)
    times = [connection.execute(statement).scalar() for statement in (files, manifests)]
    known = [time for time in times if time is not None]
    return min(known, default=None)
