"""Removes old rows, a few per transaction.

Some rows are never removed, even if they are old:

- events that the broker has not confirmed;
- recordings that are open or due to be read;
- commands that have not ended;
- the start of a recording that is kept.

A recording also waits for its archive, unless the archive was switched off. Each step reads a
limited number of rows, and the next step continues behind them. So rows that are kept do not make a
step longer.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from worker.store.database.archive_schema import (
    MANIFEST_DUE,
    QUEUED,
    archive_files,
    archive_recordings,
    archive_timeline,
)
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import FINISHED, NEVER_SEEN, files, inbox, outbox, recordings

MAX_ROWS: Final = 500
MAX_RECORDINGS: Final = 100
"""The rows of one step. A recording's files are removed with it."""


class PruneSentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to remove events behind the position `after` that were sent before `before`."""

    before: float
    after: int = 0


class PruneCursor(msgspec.Struct, frozen=True):
    """A position among rows that are ordered by a time and an id: behind this one."""

    at: float
    row_id: str


class PruneRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to remove rows behind `after` that ended before `before`, in seconds since the epoch."""

    before: float
    after: PruneCursor | None = None


class PruneStep(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a step removed, and behind which row the next step begins; None at the end."""

    removed: int
    next: PruneCursor | None


def prune_sent(connection: sa.Connection, request: PruneSentRequest) -> int | None:
    """Make one step through the outbox, from its oldest event on.

    Returns where the next step begins, or None if the step reached an event that is too young.

    The step uses the primary key, because an index by age would be written for every sent event.
    Events are sent roughly in the order of their positions. If an event was sent late, the events
    behind it are kept as long as that event.
    """
    behind = outbox.c.position > request.after
    step = connection.execute(
        sa.select(outbox.c.position, outbox.c.sent_at)
        .where(behind)
        .order_by(outbox.c.position)
        .limit(MAX_ROWS)
    ).all()
    old = []
    for position, sent_at in step:
        if sent_at is not None and sent_at >= request.before:
            break
        old.append(position)
    if old:
        connection.execute(
            sa.delete(outbox).where(
                behind, outbox.c.position <= old[-1], outbox.c.sent_at < request.before
            )
        )
    return old[-1] if len(old) == MAX_ROWS else None


def prune_commands(connection: sa.Connection, request: PruneRequest) -> PruneStep:
    """Look at up to 500 commands that ended before a time, and remove those whose recordings are
    removed. Also remove up to 500 placeholders of starts that did not arrive since then."""
    key = (inbox.c.finished_at, inbox.c.command_id)
    rows = connection.execute(
        sa.select(*key)
        .where(FINISHED, inbox.c.finished_at < request.before, *_behind(key, request.after))
        .order_by(*key)
        .limit(MAX_ROWS)
        .with_for_update(skip_locked=True)
    ).all()
    looked_at = [row.command_id for row in rows]
    # A separate statement, because PostgreSQL would read all recordings for a subquery.
    kept = set(connection.execute(_STARTS_OF_RECORDINGS, {"ids": looked_at}).scalars())
    ids = [command_id for command_id in looked_at if command_id not in kept]
    if ids:
        connection.execute(sa.delete(inbox).where(inbox.c.command_id.in_(ids)))
    placeholders = _prune_placeholders(connection, request.before)
    cursor = _end_of_step(rows, MAX_ROWS)
    if placeholders == MAX_ROWS:
        cursor = cursor or request.after or PruneCursor(0.0, "")
    return PruneStep(removed=len(ids) + placeholders, next=cursor)


_STARTS_OF_RECORDINGS: Final = sa.select(recordings.c.start_id).where(
    open_or_closed(among(recordings.c.start_id, "ids"))
)


def _behind(
    key: tuple[sa.Column[Any], sa.Column[Any]], after: PruneCursor | None
) -> list[sa.ColumnElement[bool]]:
    if after is None:
        return []
    has_index = key[0] >= after.at
    return [has_index, sa.tuple_(*key) > sa.tuple_(sa.literal(after.at), sa.literal(after.row_id))]


def _end_of_step(rows: Sequence[Any], limit: int) -> PruneCursor | None:
    return PruneCursor(rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def _prune_placeholders(connection: sa.Connection, before: float) -> int:
    old = connection.execute(
        sa.select(inbox.c.command_id)
        .where(NEVER_SEEN, inbox.c.first_seen_at < before)
        .limit(MAX_ROWS)
        .with_for_update(skip_locked=True)
    )
    ids = list(old.scalars())
    if ids:
        connection.execute(sa.delete(inbox).where(NEVER_SEEN, inbox.c.command_id.in_(ids)))
    return len(ids)


def prune_recordings(
    connection: sa.Connection, request: PruneRequest, *, archives: bool
) -> PruneStep:
    """Remove recordings that were closed before a time, with their files. Reads up to 100.

    Recordings with pending work are kept. `archives`: the archive is on. Then a recording waits
    until it is archived. Otherwise it waits only for files that another replica tried since that
    time, or can still copy.
    """
    key = (recordings.c.changed_at, recordings.c.recording_id)
    rows = connection.execute(
        sa.select(*key, recordings.c.read_at)
        .where(
            sa.not_(recordings.c.open),
            recordings.c.changed_at < request.before,
            *_behind(key, request.after),
        )
        .order_by(*key)
        .limit(MAX_RECORDINGS)
        .with_for_update(skip_locked=True)
    ).all()
    not_read = [row.recording_id for row in rows if row.read_at is None]
    kept = _awaiting_archive(connection, not_read, request.before, archives=archives)
    ids = [recording_id for recording_id in not_read if recording_id not in kept]
    if ids:
        if not archives:
            _log_forgotten(connection, ids)
        for table in (files, archive_files, archive_recordings, archive_timeline):
            connection.execute(sa.delete(table).where(table.c.recording_id.in_(ids)))
        in_step = recordings.c.recording_id.in_(ids)
        connection.execute(sa.delete(recordings).where(sa.not_(recordings.c.open), in_step))
    return PruneStep(removed=len(ids), next=_end_of_step(rows, MAX_RECORDINGS))


def _awaiting_archive(
    connection: sa.Connection, ids: Sequence[str], before: float, *, archives: bool
) -> set[str]:
    """The recordings among these whose files or manifests are still to be archived."""
    awaits_file: list[sa.ColumnElement[bool] | sa.TextClause] = [QUEUED]
    awaits_manifest: list[sa.ColumnElement[bool] | sa.TextClause] = [MANIFEST_DUE]
    if not archives:
        tried_at, expires_at = archive_files.c.due_at, archive_files.c.expires_at
        awaits_file.append(sa.or_(tried_at >= before, expires_at >= before))
        awaits_manifest.append(archive_recordings.c.manifest_due_at >= before)
    kept: set[str] = set()
    for column, awaits in (
        (archive_files.c.recording_id, awaits_file),
        (archive_recordings.c.recording_id, awaits_manifest),
    ):
        query = sa.select(column).where(among(column, "ids"), *awaits)
        kept.update(connection.execute(query, {"ids": ids}).scalars())
    return kept


def _log_forgotten(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Log the files that were not copied before the archive was switched off."""
    queued = sa.select(sa.func.count()).where(archive_files.c.recording_id.in_(ids), QUEUED)
    if count := connection.execute(queued).scalar_one():
        structlog.get_logger().warning("queued_files_forgotten", files=count)
