"""Claims with a command id that belongs to another body.

The first body has the id until it has its outcome. Another body is not executed, and does not
change the command. Its message waits for that outcome.

The first body's message may be lost: purged, or removed manually. Past its age, the command is
never executed. Then the other message ends it, as its own message would.
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.claimed_rows import ClaimedRows
from worker.store.claims import ClaimRequest, ClaimResult, ClaimVerdict, LostCommand
from worker.store.due_commands import remove_parking
from worker.store.inbox_row import InboxRow
from worker.store.outbox import Reply
from worker.store.parked_claims import find_parking

_NO_REPLY: Final = Reply()


def claim_other_body(
    connection: sa.Connection, rows: ClaimedRows, row: InboxRow, request: ClaimRequest
) -> ClaimResult:
    """The result for a message whose body is not the first one of its id."""
    if row.may_be_parked:
        return _result(row, _while_parked(connection, rows, row, request))
    if row.is_leased(request.now) or row.age_from >= request.abandoned_before:
        return _result(row, "id_in_use")
    return msgspec.structs.replace(_result(row, "lost"), lost=_lost_command(row))


def reserve_id(rows: ClaimedRows, request: ClaimRequest) -> None:
    """Reserve the id for the body of a command that is not attempted now and has no row.

    A stop may have left a row for the id. That row does not change.
    """
    reserved = rows.get(request.command_id) or InboxRow(
        command_id=request.command_id,
        command_type=request.command_type,
        first_seen_at=min(request.first_seen or request.now, request.now),
    )
    if reserved.digest is None:
        rows.put(msgspec.structs.replace(reserved, digest=request.digest))


def _result(row: InboxRow, verdict: ClaimVerdict) -> ClaimResult:
    return ClaimResult(verdict=verdict, first_seen_at=row.first_seen_at, id_conflict=True)


def _while_parked(
    connection: sa.Connection, rows: ClaimedRows, row: InboxRow, request: ClaimRequest
) -> ClaimVerdict:
    """The verdict if the first body was parked, and not claimed since.

    If its message may not be in the queue yet, the age grows again, because the message may be
    lost.
    """
    parking = find_parking(connection, row.command_id)
    if parking is not None and parking.is_kept:
        return "parked"
    if parking is not None and parking.due_at > request.now:
        return "waiting"
    if parking is not None:
        remove_parking(connection, parking.position)
    rows.put(msgspec.structs.replace(row, woken_at=request.now))
    return "id_in_use"


def _lost_command(row: InboxRow) -> LostCommand:
    reply = msgspec.json.decode(row.reply, type=Reply) if row.reply else _NO_REPLY
    return LostCommand(
        command_id=row.command_id,
        command_type=row.command_type,
        attempts=row.attempts,
        last_error=row.last_error,
        may_have_called=row.may_have_called,
        cancelled_by=None if row.may_have_called else row.cancelled_by,
        reply=reply,
    )
