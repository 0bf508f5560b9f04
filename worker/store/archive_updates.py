"""Updates the archive's files after an observation, one statement for all files of a recording.

A recording may have thousands of files. Building a statement takes far longer than executing it.
"""

from typing import Any, Final

import sqlalchemy as sa

from worker.store.database.archive_schema import QUEUED, archive_files

URGENT_SHARE: Final = 1 / 3
"""A file is urgent when this share of the time to its expiry has passed."""


def urgent_from(expires_at: float, now: float) -> float:
    """When a file with a URL known at `now` becomes urgent, in seconds since the epoch."""
    return now + max(expires_at - now, 0.0) * URGENT_SHARE


def earlier_of(column: sa.Column[float], other: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
    """The smaller value. Another URL may make a file more urgent, never less."""
    return sa.case((column <= other, column), else_=other)


_IS_FREE: Final = archive_files.c.owner.is_(None)
_THAT_FILE: Final = (
    archive_files.c.recording_id == sa.bindparam("id"),
    archive_files.c.file_index == sa.bindparam("index"),
)


def _new(*names: str) -> dict[str, sa.BindParameter[Any]]:
    """New values of these columns."""
    return {name: sa.bindparam(f"new_{name}") for name in names}


def named(values: dict[str, Any]) -> dict[str, Any]:
    """The values for `_new`."""
    return {f"new_{name}": value for name, value in values.items()}


NEW_URL: Final = (
    sa.update(archive_files)
    .where(*_THAT_FILE, QUEUED)
    .values(
        **_new("download_url", "expires_at", "urgent_at"),
        due_at=sa.case(
            (
                sa.and_(_IS_FREE, archive_files.c.expires_at <= sa.bindparam("expired_by")),
                sa.bindparam("now"),
            ),
            else_=archive_files.c.due_at,
        ),
    )
)
UNPUBLISHED_URL: Final = (
    sa.update(archive_files)
    .where(*_THAT_FILE, QUEUED, archive_files.c.download_url != sa.bindparam("new_download_url"))
    .values(
        **_new("download_url", "expires_at"),
        urgent_at=earlier_of(
            archive_files.c.urgent_at, sa.bindparam("new_urgent_at", type_=sa.Double)
        ),
    )
)
AGAIN: Final = (
    sa.update(archive_files)
    .where(*_THAT_FILE)
    .values(
        **_new("file", "queued_at", "download_url", "expires_at", "urgent_at"),
        state="queued",
        due_at=sa.case((_IS_FREE, sa.bindparam("now")), else_=archive_files.c.due_at),
        round=archive_files.c.round + 1,
        attempts=0,
        refusals=0,
        denials=0,
        last_error=None,
    )
)
INDEXES: Final = sa.select(archive_files.c.file_index).where(
    archive_files.c.recording_id == sa.bindparam("id")
)
