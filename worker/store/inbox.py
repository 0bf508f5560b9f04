"""The inbox: which commands are being executed, by which replica, and how they ended.

A claim is committed before the API is called. So after a crash, the next attempt knows that a call
may have been sent. A start also holds its slot (app, meeting and kind). While a start of a slot
runs, or may have been executed, no other start gets the slot. So a recording that is found later in
the API's list belongs to exactly one command.

`database/schema.py` shows the states of a row. `cancelling.py` cancels the starts of a stop.
`releasing.py` returns a claimed command, `finishing.py` ends it.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Recording
from worker.store.cancelling import (
    StartsOfCommand,
    cancel_starts_of_meeting,
    cancels_in_advance,
    find_cancelling_stop,
    pending_starts_of_meeting,
    starts_of_named,
    stopped_slot,
)
from worker.store.claimed_rows import ClaimedRows
from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.database.schema import inbox
from worker.store.id_conflicts import claim_other_body, reserve_id
from worker.store.inbox_row import InboxRow
from worker.store.lost_claims import with_lost_call
from worker.store.outbox import StoredOutcome, resend_outcomes
from worker.store.parked_claims import parked_verdict
from worker.store.queries import find_command_recordings
from worker.store.repeats import claim_of_ended, repeated_outcome


def claim(connection: sa.Connection, requests: Sequence[ClaimRequest]) -> list[ClaimResult]:
    """Operation: claim commands, each at most once, in the given order."""
    ids = {request.command_id for request in requests}
    start_ids = {request.start_id for request in requests if request.start_id}
    slots = {request.slot for request in requests if request.slot}
    rows = ClaimedRows(connection, ids | start_ids, slots)
    holders = rows.holders
    repeats: list[StoredOutcome] = []
    results: list[ClaimResult] = []
    for request in requests:
        stored = _find_row(rows, request)
        row = with_lost_call(rows, stored, request)
        if row is not None and row.outcome is not None:
            repeats.append(repeated_outcome(row.outcome, row, request))
            results.append(claim_of_ended(row, request))
            continue
        if row is not None and (kept := _not_to_execute(connection, rows, row, request)):
            results.append(kept)
            continue
        cancelled_by = _find_cancelled_by(connection, stored, request)
        if cancelled_by:
            request = msgspec.structs.replace(request, finish_only=True)
        if request.reserve_only or _is_busy(connection, row, holders, request):
            if row is None:
                reserve_id(rows, request)
            results.append(_busy(row, request))
        else:
            after = _row_after_claim(row, request, cancelled_by)
            rows.put(after)
            if after.holds:
                holders[after.holds] = after
            results.append(_granted(connection, rows, row, after, request))
    rows.insert_new()
    resend_outcomes(connection, repeats)
    return results


def _not_to_execute(
    connection: sa.Connection, rows: ClaimedRows, row: InboxRow, request: ClaimRequest
) -> ClaimResult | None:
    """The result for a delivery that must not be executed now, although its command has no
    outcome. None if it may be executed."""
    if row.is_of_other_body(request.digest):
        return claim_other_body(connection, rows, row, request)
    if verdict := parked_verdict(connection, row, request):
        return ClaimResult(verdict=verdict, first_seen_at=row.first_seen_at)
    return None


def _find_row(rows: ClaimedRows, request: ClaimRequest) -> InboxRow | None:
    if (row := rows.get(request.command_id)) is None:
        return None
    is_cancelled = request.slot is not None and cancels_in_advance(row, request.app)
    is_other_body = row.is_of_other_body(request.digest)
    if row.is_placeholder and not (is_cancelled or is_other_body):
        return None  # it is reserved for this body, or a stop meant another command with this id
    possible = row.with_possible_lease(request.now, request.lease_seconds)
    if possible is not row:
        rows.put(possible)
    return possible


def _find_cancelled_by(
    connection: sa.Connection, row: InboxRow | None, request: ClaimRequest
) -> str | None:
    """The stop that cancelled this command, if the command is a start."""
    if request.slot is None:
        return None
    if row is not None:
        return row.cancelled_by
    if request.first_seen is None:
        return None
    return find_cancelling_stop(
        connection, request.slot, first_seen=request.first_seen, now=request.now
    )


def _is_busy(
    connection: sa.Connection,
    row: InboxRow | None,
    holders: dict[str, InboxRow],
    request: ClaimRequest,
) -> bool:
    if row is not None and (
        row.is_leased_to_another(request.owner, request.now) or _is_start_in_doubt(row, request)
    ):
        return True
    return _is_slot_taken(connection, holders, request) and not _will_never_call(row, request)


def _is_start_in_doubt(row: InboxRow, request: ClaimRequest) -> bool:
    """Whether another command of this id is a start that may have been executed.

    Such a start owns the id: another command must neither end it nor start again.
    """
    is_other_command = row.slot != request.slot
    is_recent = row.age_from >= request.abandoned_before
    return row.may_have_called and is_other_command and is_recent


def _is_slot_taken(
    connection: sa.Connection, holders: dict[str, InboxRow], request: ClaimRequest
) -> bool:
    holder = holders.get(request.slot) if request.slot else None
    if holder is None or holder.command_id == request.command_id:
        return False
    if holder.age_from >= request.abandoned_before:
        return True
    # The holder is past its age. It is never attempted again, even if its call was executed.
    connection.execute(
        sa.update(inbox).where(inbox.c.command_id == holder.command_id).values(holds=None)
    )
    return False


def _will_never_call(row: InboxRow | None, request: ClaimRequest) -> bool:
    """Whether the command has not called the API and never will. Then it needs no slot."""
    return request.finish_only and not (row is not None and row.may_have_called)


def _row_after_claim(
    row: InboxRow | None, request: ClaimRequest, cancelled_by: str | None
) -> InboxRow:
    slot = None if _will_never_call(row, request) else request.slot
    called_at, last_called_at = _calls_after_claim(row, request) if slot else (None, None)
    first_seen = min(request.first_seen or request.now, request.now)  # the clock may have gone back
    return InboxRow(
        command_id=request.command_id,
        command_type=request.command_type,
        state="running",
        attempts=1 + (row.attempts if row else 0),
        crashes=row.crashes + row.ended_in_a_crash(request.owner) if row else 0,
        alone=request.alone,
        first_seen_at=min(row.first_seen_at if row else request.now, first_seen),
        slot=slot,
        holds=slot,
        called_at=called_at,
        last_called_at=last_called_at,
        lease_owner=request.owner,
        lease_until=request.now + request.lease_seconds,
        last_error=row.last_error if row else None,
        reply=row.reply if row else None,
        acted_on=_acted_on(row) if row else None,
        cancelled_by=cancelled_by or (row.cancelled_by if row else None),
        stops_slot=_stopped_slot(request) or (row.stops_slot if row else None),
        app=request.app,
        people=row.people if row else None,
        waits_since=row.waits_since if row else None,
        woken_at=(row.woken_at or request.now) if row and row.waits_since else None,
        digest=(row.digest if row else None) or request.digest,
    )


def _acted_on(row: InboxRow) -> str | None:
    ids = row.acted_on_ids
    return msgspec.json.encode(ids).decode() if ids else None


def _stopped_slot(request: ClaimRequest) -> str | None:
    if request.rival_slots and request.cancels_starts and not request.finish_only:
        return stopped_slot(request.rival_slots)
    return None


def _calls_after_claim(row: InboxRow | None, request: ClaimRequest) -> tuple[float, float]:
    """The first and the last moment at which the start may have called. A start that may call now
    counts as calling now."""
    now = request.now
    if row is None or row.called_at is None:
        return now, now
    may_call = row.may_call(now, request.reconcile_seconds) and row.cancelled_by is None
    return row.called_at, now if may_call else row.last_call(now)


def _granted(
    connection: sa.Connection,
    rows: ClaimedRows,
    row: InboxRow | None,
    after: InboxRow,
    request: ClaimRequest,
) -> ClaimResult:
    # Read these before the recordings. Another replica may end the start in between, and a start
    # that is done but has no visible recording would seem to have none.
    starts = _find_starts(rows, row, request)
    may_call = row is None or row.may_call(request.now, request.reconcile_seconds)
    return ClaimResult(
        verdict="new" if row is None else "again",
        attempts=after.attempts,
        first_seen_at=after.first_seen_at,
        age_from=after.age_from,
        waits_since=after.waits_since,
        called_at=row.called_at if row else None,
        may_call=may_call and not _will_never_call(row, request),
        known_recordings=_known_recordings(connection, row, request, starts.surplus_ids),
        start_state=starts.state,
        pending_starts=starts.pending,
        cancelled_starts=starts.cancelled,
        acted_on=after.acted_on_ids,
        cancelled_by=after.cancelled_by if request.slot else None,
        crashes=after.crashes,
        last_error=after.last_error,
        people=row.people_called if row else None,
    )


def _find_starts(rows: ClaimedRows, row: InboxRow | None, request: ClaimRequest) -> StartsOfCommand:
    """The starts that the command names. A stop that may still be executed cancels them."""
    cancels = request.cancels_starts and request.app is not None and not request.finish_only
    if request.start_id and request.start_id != request.command_id:
        return starts_of_named(
            rows,
            request.start_id,
            app=request.app,
            command_id=request.command_id,
            cancels=cancels,
            now=request.now,
        )
    since = request.abandoned_before
    if not cancels:
        return pending_starts_of_meeting(rows, request.rival_slots, since=since)
    return cancel_starts_of_meeting(
        rows,
        request.rival_slots,
        command_id=request.command_id,
        is_first_claim=row is None or row.is_placeholder,
        came_at=request.first_seen,
        since=since,
    )


def _known_recordings(
    connection: sa.Connection,
    row: InboxRow | None,
    request: ClaimRequest,
    surplus_ids: tuple[str, ...],
) -> tuple[Recording, ...]:
    """The recordings that a command may be about. At its first claim, a start has none."""
    if request.slot and row is None:
        return ()
    return find_command_recordings(
        connection,
        app=request.app,
        start_id=request.start_id,
        recording_id=request.recording_id,
        meeting_id=request.meeting_id,
        live_only=request.slot is None,
        surplus_ids=surplus_ids,
    )


def _busy(row: InboxRow | None, request: ClaimRequest) -> ClaimResult:
    is_leased = row is not None and row.is_leased_to_another(request.owner, request.now)
    leased_by = row.lease_owner if row is not None and is_leased else None
    return ClaimResult(verdict="busy", first_seen_at=request.now, leased_by=leased_by)
