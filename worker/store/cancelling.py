"""Cancels starts when a stop that names them is claimed.

A start that has certainly not called the API never calls it, and ends as cancelled. A start that
may have been executed does not call again. It searches for its recording, and the stop waits for
it. If the stop ends before that, the recording is stopped when it appears (`finishing.py`).
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from worker.domain.command_keys import StartState, is_slot_of_app
from worker.store.claimed_rows import ClaimedRows
from worker.store.database.dialects import among
from worker.store.database.schema import inbox
from worker.store.inbox_row import InboxRow
from worker.store.outbox import Reply

REPLICA_TOLERANCE_SECONDS: Final = 5.0
"""How far the clocks of two replicas may be apart."""


class CancelledStart(msgspec.Struct, frozen=True, kw_only=True):
    """A start that a stop cancelled before it was sent, and the address for its outcome."""

    command_id: str
    command_type: str
    reply: Reply


class StartsOfCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The starts that a stop, pause or resume is about.

    `state`: the state of the start that the command names, None if no such start arrived.
    `pending`: how many starts of the command's meeting it must wait for. `cancelled`: starts that
    the command cancelled, and whose outcome is not committed yet. `surplus_ids`: recordings of the
    named start beyond its first one.
    """

    state: StartState | None = None
    pending: int = 0
    cancelled: tuple[CancelledStart, ...] = ()
    surplus_ids: tuple[str, ...] = ()


def starts_of_named(
    rows: ClaimedRows, start_id: str, *, app: str | None, command_id: str, cancels: bool, now: float
) -> StartsOfCommand:
    """The start that a command names. With `cancels` the start is cancelled, even in advance.

    A start of another app than `app` is not affected, even if it arrives later.
    """
    row = rows.get(start_id)
    if row is None or row.is_placeholder:
        if cancels and app is not None:
            _cancel_in_advance(rows, row, start_id, app=app, command_id=command_id, now=now)
        return StartsOfCommand()
    if row.state == "done":
        state: StartState = "cancelled" if row.cancelled_by else "done"
        return StartsOfCommand(state=state, surplus_ids=row.surplus_ids)
    if not (cancels and row.is_start and row.slot and is_slot_of_app(row.slot, app or "")):
        return StartsOfCommand(state="pending")
    row = _cancel(rows, row, command_id)
    if row.is_unsent_start:
        return StartsOfCommand(state="cancelled", cancelled=(_cancelled_start(row),))
    return StartsOfCommand(state="pending")


def pending_starts_of_meeting(
    rows: ClaimedRows, slots: tuple[str, ...], *, since: float
) -> StartsOfCommand:
    """The unfinished starts of a meeting, without parked ones: their sessions have not begun."""
    starts = rows.unfinished_starts(slots, since=since)
    return StartsOfCommand(pending=sum(not row.may_be_parked for row in starts))


def cancel_starts_of_meeting(
    rows: ClaimedRows,
    slots: tuple[str, ...],
    *,
    command_id: str,
    is_first_claim: bool,
    came_at: float | None,
    since: float,
) -> StartsOfCommand:
    """Cancel the earlier starts of a meeting. Returns those that the command has cancelled.

    A start is earlier if it arrived before the command's first claim, and before `came_at` if the
    command was postponed until that claim. Later starts are not affected.
    """
    starts = rows.unfinished_starts(slots, since=since)
    if is_first_claim:
        earlier = [row for row in starts if came_at is None or row.first_seen_at <= came_at]
        starts = [_cancel(rows, row, command_id) for row in earlier]
    starts = [row for row in starts if row.cancelled_by]
    unsent = tuple(_cancelled_start(row) for row in starts if row.is_unsent_start)
    return StartsOfCommand(pending=len(starts) - len(unsent), cancelled=unsent)


def stopped_slot(slots: tuple[str, ...]) -> str:
    """The value of `stops_slot` for a stop of these slots: without the kind if there are two."""
    return slots[0] if len(slots) == 1 else _meeting_of(slots[0])


def find_cancelling_stop(
    connection: sa.Connection, slot: str, *, first_seen: float, now: float
) -> str | None:
    """A stop by meeting that arrived after the start was first seen, None if there is none.

    Only a start that was postponed before its first claim needs this query, because the stop found
    no row of it. A stop whose time is in the future was stored while a clock was ahead.
    """
    values = {
        "slots": [slot, _meeting_of(slot)],
        "first_seen": first_seen,
        "now": now + REPLICA_TOLERANCE_SECONDS,
    }
    return connection.execute(_STOPS, values).scalar()


_STOPS: Final = (
    sa.select(inbox.c.command_id)
    .where(
        among(inbox.c.stops_slot, "slots"),
        inbox.c.first_seen_at >= sa.bindparam("first_seen"),
        inbox.c.first_seen_at <= sa.bindparam("now"),
    )
    .limit(1)
)


def _meeting_of(slot: str) -> str:
    return slot.rpartition("/")[0]


def _cancel(rows: ClaimedRows, row: InboxRow, command_id: str) -> InboxRow:
    if row.cancelled_by:
        return row
    cancelled = msgspec.structs.replace(row, cancelled_by=command_id)
    rows.put(cancelled)
    return cancelled


def _cancelled_start(row: InboxRow) -> CancelledStart:
    reply = msgspec.json.decode(row.reply, type=Reply) if row.reply else Reply()
    return CancelledStart(command_id=row.command_id, command_type=row.command_type, reply=reply)


def cancels_in_advance(placeholder: InboxRow, app: str | None) -> bool:
    """Whether a placeholder cancels a start of this app."""
    return (
        placeholder.cancelled_by is not None and app is not None and placeholder.app in {None, app}
    )


def _cancel_in_advance(
    rows: ClaimedRows, row: InboxRow | None, start_id: str, *, app: str, command_id: str, now: float
) -> None:
    if row is None:
        placeholder = InboxRow(
            start_id, "unknown", first_seen_at=now, app=app, cancelled_by=command_id
        )
        rows.put(placeholder)
    elif row.cancelled_by is None:  # the id is reserved for a start
        rows.put(msgspec.structs.replace(row, app=app, cancelled_by=command_id))
    elif not cancels_in_advance(row, app):  # stops of two apps name the same id
        rows.put(msgspec.structs.replace(row, app=None))
