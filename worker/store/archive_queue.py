"""The queue of files to copy. One replica at a time has a file.

`archive_manifests.py` has the queue of manifests. `archive_leases.py` extends and frees the leases
of both.

A replica takes a file by moving its `due_at` to the end of a lease. It extends the lease while it
works. If it dies, the file becomes due again by itself. Only the owner's result counts.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from recording_schemas import ErrorInfo, FileReady
from worker.domain.recording import Recording
from worker.store.database.archive_schema import (
    QUEUED,
    archive_files,
)
from worker.store.database.dialects import open_or_closed
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import recordings

MAX_NEWEST: Final = 200
"""The search for files that were never tried reads this many rows."""


class TakeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` files or manifests that are due at `now`, for `owner` until `until`.

    Times are seconds since the epoch. `untried_first`: files that were never tried go first, then
    those that have been due for longest, urgent or not.
    """

    owner: str
    now: float
    until: float
    limit: int
    untried_first: bool = False


class FileTask(msgspec.Struct, frozen=True, kw_only=True):
    """A file to copy.

    `round` counts how often it was queued, `attempts` the attempts of this round, this one too.
    `refusals` and `denials` are what the last attempt left (`Postponement`). `expires_at` is when
    the URL expires, in seconds since the epoch. `started_time` is when the recording began, `trace`
    has the headers of its start's trace.
    """

    recording_id: str
    file_index: int
    round: int
    app: str
    file: FileReady
    download_url: str | None
    expires_at: float
    attempts: int
    refusals: int
    denials: int
    last_error: ErrorInfo | None
    started_time: datetime | None
    trace: dict[str, str]


class Postponement(msgspec.Struct, frozen=True, kw_only=True):
    """Returns a file of this `round` to the queue for `due_at`.

    `error` is JSON of an `ErrorInfo`. `refusals` is how often in a row the storage refused it,
    `denials` how often in a row its source did.
    """

    recording_id: str
    file_index: int
    round: int
    owner: str
    due_at: float
    error: str
    refusals: int = 0
    denials: int = 0


def encoded(code: str, message: str) -> str:
    """An error in the form of the tables."""
    return msgspec.json.encode(ErrorInfo(code=code, message=message)).decode()


# Files


def take_files(connection: sa.Connection, request: TakeRequest) -> tuple[FileTask, ...]:
    """Take the most urgent files, then those that have been due for longest.

    A file is urgent when a third of the time to its expiry has passed: the nearest expiry is first.
    """
    keys = dict.fromkeys(_untried(connection, request.now) if request.untried_first else ())
    for statement in (_LONGEST_DUE,) if request.untried_first else (_URGENT, _DUE):
        if len(keys) < request.limit:
            keys |= dict.fromkeys(_due(connection, statement, request.now, request.limit))
    taken = (_take_file(connection, key, request) for key in list(keys)[: request.limit])
    return tuple(task for task in taken if task is not None)


def _untried(connection: sa.Connection, now: float) -> list[tuple[str, int]]:
    """Files that were never tried, the oldest first. `_take_file` checks each again."""
    rows = connection.execute(_NEWEST, {"now": now}).all()
    return [(row.recording_id, row.file_index) for row in reversed(rows) if not row.attempts]


def _due(
    connection: sa.Connection, statement: sa.Select[Any], now: float, limit: int
) -> list[tuple[str, int]]:
    rows = connection.execute(statement, {"now": now, "limit": limit})
    return [(recording_id, file_index) for recording_id, file_index in rows]


_KEYS: Final = (
    sa.select(archive_files.c.recording_id, archive_files.c.file_index)
    .where(QUEUED, archive_files.c.due_at <= sa.bindparam("now"))
    .limit(sa.bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_URGENT: Final = _KEYS.where(archive_files.c.urgent_at <= sa.bindparam("now")).order_by(
    archive_files.c.expires_at
)
_DUE: Final = _KEYS.where(archive_files.c.urgent_at > sa.bindparam("now")).order_by(
    archive_files.c.due_at
)
_LONGEST_DUE: Final = _KEYS.order_by(archive_files.c.due_at)
# New files are among the last of those due: others have waited for their next attempt.
_NEWEST: Final = (
    sa.select(archive_files.c.recording_id, archive_files.c.file_index, archive_files.c.attempts)
    .where(QUEUED, archive_files.c.due_at <= sa.bindparam("now"))
    .order_by(archive_files.c.due_at.desc())
    .limit(MAX_NEWEST)
)


def _take_file(
    connection: sa.Connection, key: tuple[str, int], request: TakeRequest
) -> FileTask | None:
    taken = connection.execute(
        sa.update(archive_files)
        .where(is_file(*key), QUEUED, archive_files.c.due_at <= request.now)
        .values(due_at=request.until, owner=request.owner, attempts=archive_files.c.attempts + 1)
    )
    if not taken.rowcount:
        return None
    row = connection.execute(_FILE.where(is_file(*key))).one()
    try:
        return _file_task(connection, row)
    except msgspec.MsgspecError as error:
        # A newer version may have written it. It is due again after its lease, and delays no
        # others.
        structlog.get_logger().error(
            "archive_file_unreadable",
            recording_id=row.recording_id,
            file_index=row.file_index,
            error=str(error),
        )
        return None


def _file_task(connection: sa.Connection, row: sa.Row[Any]) -> FileTask:
    recording = find_recording(connection, row.recording_id)
    return FileTask(
        recording_id=row.recording_id,
        file_index=row.file_index,
        round=row.round,
        app=row.app,
        file=msgspec.json.decode(row.file, type=FileReady),
        download_url=row.download_url,
        expires_at=row.expires_at,
        attempts=row.attempts,
        refusals=row.refusals,
        denials=row.denials,
        last_error=msgspec.json.decode(row.last_error, type=ErrorInfo) if row.last_error else None,
        started_time=recording.started_time if recording else None,
        trace=recording.trace if recording else {},
    )


_FILE: Final = sa.select(
    *(
        archive_files.c[name]
        for name in FileTask.__struct_fields__
        if name not in {"started_time", "trace"}
    )
)


def is_file(recording_id: str, file_index: int) -> sa.ColumnElement[bool]:
    """The condition on the row of one file."""
    return sa.and_(
        archive_files.c.recording_id == recording_id, archive_files.c.file_index == file_index
    )


def find_recording(connection: sa.Connection, recording_id: str) -> Recording | None:
    """The recording as the store has it; None if it was removed."""
    state = connection.execute(
        sa.select(recordings.c.state).where(
            open_or_closed(recordings.c.recording_id == recording_id)
        )
    ).scalar()
    return None if state is None else msgspec.json.decode(state, type=Recording)


def postpone_file(connection: sa.Connection, request: Postponement) -> bool:
    """Return a file to the queue for a later attempt.

    False if the owner no longer has the file, or if it was queued again meanwhile.
    """
    postponed = connection.execute(
        sa.update(archive_files)
        .where(
            is_file(request.recording_id, request.file_index),
            QUEUED,
            archive_files.c.owner == request.owner,
            archive_files.c.round == request.round,
        )
        .values(
            due_at=request.due_at,
            owner=None,
            last_error=request.error,
            refusals=request.refusals,
            denials=request.denials,
        )
    )
    if not postponed.rowcount:
        make_requeued_due(connection, request.recording_id, request.file_index, request.owner)
    return postponed.rowcount == 1


def make_requeued_due(
    connection: sa.Connection, recording_id: str, file_index: int, owner: str
) -> None:
    """Make a file due at once if it was queued again while its owner worked on it."""
    connection.execute(
        sa.update(archive_files)
        .where(is_file(recording_id, file_index), QUEUED, archive_files.c.owner == owner)
        .values(due_at=0.0, owner=None)
    )
    notify_on_commit(connection, "archive")
