"""The queue of manifests to write. Replicas take them like files (`archive_queue.py`)."""

from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.archive_queue import TakeRequest
from worker.store.database.archive_schema import (
    MANIFEST_DUE,
    MANIFEST_REFUSED,
    archive_recordings,
)


class ManifestTask(msgspec.Struct, frozen=True, kw_only=True):
    """A recording whose manifest must be written. `changes` identifies its state when it was taken.

    `was_refused`: the storage refused it at the last attempt.
    """

    recording_id: str
    app: str
    changes: int
    attempts: int
    was_refused: bool


class ManifestPostponement(msgspec.Struct, frozen=True, kw_only=True):
    """Returns a manifest to the queue for `due_at`. `error` is JSON of an `ErrorInfo`."""

    recording_id: str
    owner: str
    due_at: float
    error: str


def take_manifests(connection: sa.Connection, request: TakeRequest) -> tuple[ManifestTask, ...]:
    """Take the manifests that have been due for longest."""
    rows = connection.execute(_MANIFESTS, {"now": request.now, "limit": request.limit}).all()
    ids = [row.recording_id for row in rows]
    if ids:
        connection.execute(
            sa.update(archive_recordings)
            .where(archive_recordings.c.recording_id.in_(ids))
            .values(
                manifest_due_at=request.until,
                owner=request.owner,
                attempts=archive_recordings.c.attempts + 1,
            )
        )
    return tuple(
        ManifestTask(
            recording_id=row.recording_id,
            app=row.app,
            changes=row.changes,
            attempts=row.attempts + 1,
            was_refused=bool(row.was_refused),
        )
        for row in rows
    )


_MANIFESTS: Final = (
    sa.select(
        archive_recordings.c.recording_id,
        archive_recordings.c.app,
        archive_recordings.c.changes,
        archive_recordings.c.attempts,
        MANIFEST_REFUSED.label("was_refused"),
    )
    .where(MANIFEST_DUE, archive_recordings.c.manifest_due_at <= sa.bindparam("now"))
    .order_by(archive_recordings.c.manifest_due_at)
    .limit(sa.bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def postpone_manifest(connection: sa.Connection, request: ManifestPostponement) -> None:
    """Return a manifest to the queue for a later attempt."""
    connection.execute(
        sa.update(archive_recordings)
        .where(
            archive_recordings.c.recording_id == request.recording_id,
            archive_recordings.c.owner == request.owner,
            MANIFEST_DUE,
        )
        .values(manifest_due_at=request.due_at, owner=None, last_error=request.error)
    )
