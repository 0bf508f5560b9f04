"""Brings back the claims that the database has lost.

A standby that takes over may lack the last commits of the former primary, and so the claim of a
command that a worker is executing. There are two cases:

- The worker ends the command at the new primary. The row is added again, with the outcome.
- The worker could not commit the end of its attempt, or the API has not answered. It writes the
  time of its call into the copy of the message. Otherwise the start would be called a second time.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.claimed_rows import ClaimedRows
from worker.store.claims import ClaimRequest
from worker.store.database.bulk import bulk_insert
from worker.store.database.schema import inbox
from worker.store.inbox_row import InboxRow


def with_lost_call(
    rows: ClaimedRows, row: InboxRow | None, request: ClaimRequest
) -> InboxRow | None:
    """The row of a start that may have called, also if its claim is lost.

    The last call counts as one of now, because the time of its execution is unknown. The row of
    another body, and that of a start that was parked after the call, stay as they are.
    """
    if request.called_at is None or request.slot is None:
        return row
    if row is not None and (
        row.may_have_called
        or row.state == "done"
        or request.called_at <= (row.waits_since or 0.0)
        or row.is_of_other_body(request.digest)
    ):
        return row
    called_at = min(request.called_at, request.now)
    first_seen_at = min(request.first_seen or called_at, called_at)
    known = row or InboxRow(request.command_id, request.command_type, first_seen_at)
    restored = msgspec.structs.replace(
        known,
        command_type=request.command_type,
        attempts=max(known.attempts, 1),  # it is no row that only reserves the id
        slot=request.slot,
        app=request.app,
        digest=known.digest or request.digest,
        called_at=called_at,
        last_called_at=request.now,
    )
    rows.put(restored)
    return restored


def add_lost_rows(
    connection: sa.Connection, command_types: Mapping[str, str], *, now: float
) -> dict[str, str | None]:
    """Add rows for commands that are about to end, given their types by id.

    Returns their outcomes by id: none has one yet.
    """
    rows = [
        InboxRow(command_id, command_type, first_seen_at=now, attempts=1)
        for command_id, command_type in command_types.items()
    ]
    _insert(connection, [msgspec.structs.asdict(row) for row in rows])
    return dict.fromkeys(command_types)


_insert: Final = bulk_insert(inbox)
