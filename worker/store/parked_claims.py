"""Claims of commands that may be parked: decides whether to execute this delivery."""

from typing import Final, NamedTuple

import sqlalchemy as sa

from worker.store.claims import ClaimRequest, ClaimVerdict
from worker.store.database.schema import parked
from worker.store.due_commands import remove_parking
from worker.store.inbox_row import InboxRow


class Parking(NamedTuple):
    """The parking of a command. `is_kept`: its message is in the store."""

    position: int
    due_at: float
    is_kept: bool


def parked_verdict(
    connection: sa.Connection, row: InboxRow, request: ClaimRequest
) -> ClaimVerdict | None:
    """Why the command stays parked. None if this delivery must be executed.

    If the store keeps another delivery, that one is executed. A repeat must not remove it. If the
    retry queues keep the deliveries, any of them may be executed once the command is due.
    """
    if not row.may_be_parked or (parking := find_parking(connection, row.command_id)) is None:
        return None
    if parking.is_kept and parking.position != request.unparked:
        return "parked"
    if not (parking.is_kept or request.finish_only or parking.due_at <= request.now):
        return "waiting"
    remove_parking(connection, parking.position)
    return None


def find_parking(connection: sa.Connection, command_id: str) -> Parking | None:
    """The parking of the command. None if it is no longer parked."""
    found = connection.execute(_PARKING, {"command_id": command_id}).first()
    return Parking(*found) if found else None


_PARKING: Final = sa.select(
    parked.c.position, parked.c.due_at, parked.c.message.is_not(None)
).where(parked.c.command_id == sa.bindparam("command_id"), parked.c.number == 0)
