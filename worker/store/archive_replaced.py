"""Queues a file again if its object may come from a replica that no longer had the file.

A replica that was frozen right before it completed an upload completes it when it continues.
Another one may have announced a copy with other bytes meanwhile, because the source differed.
"""

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.archive import CopiedFile
from worker.store.archive_queue import is_file
from worker.store.database.archive_schema import archive_files
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.recording_rows import load_rows


class LateCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was or may have been written by an owner that had already lost the file.

    `copied` is None if it is unknown whether the copy was written.
    """

    recording_id: str
    file_index: int
    download_url: str | None
    copied: CopiedFile | None
    now: float


def note_late_copy(connection: sa.Connection, late: LateCopy) -> None:
    """Make a file due at once, unless a late copy has the announced bytes.

    A replica that is copying the file starts again, because it is unknown whose object is stored
    now.
    """
    load_rows(connection, [late.recording_id])  # locks it, as every transaction does first
    note_late_copy_of_locked(connection, late)


def note_late_copy_of_locked(connection: sa.Connection, late: LateCopy) -> None:
    """As `note_late_copy`. The caller has locked the recording."""
    condition = is_file(late.recording_id, late.file_index)
    row = connection.execute(
        sa.select(archive_files.c.state, archive_files.c.copied).where(condition)
    ).one_or_none()
    if row is None or row.state == "external":
        return
    if row.state == "queued":
        again: dict[str, object] = {"due_at": late.now, "owner": None}
    elif _is_announced(row.copied, late.copied):
        return
    else:
        again = {
            "state": "queued",
            "due_at": late.now,
            "owner": None,
            "queued_at": late.now,
            "download_url": strip_nul(late.download_url),
            "round": archive_files.c.round + 1,
            "attempts": 0,
            "refusals": 0,
            "denials": 0,
            "last_error": None,
        }
    connection.execute(sa.update(archive_files).where(condition).values(**again))
    notify_on_commit(connection, "archive")
    structlog.get_logger().warning(
        "archive_copy_doubtful", recording_id=late.recording_id, file_index=late.file_index
    )


def _is_announced(copied: str | None, late: CopiedFile | None) -> bool:
    """Whether the announced copy certainly still has its bytes."""
    if copied is None or late is None:
        return False
    announced = msgspec.json.decode(copied, type=CopiedFile)
    return announced.archive_url != late.archive_url or announced.sha256 == late.sha256
