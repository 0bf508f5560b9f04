"""Repeats of commands that have ended: their outcome is published again."""

import msgspec

from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.inbox_row import InboxRow
from worker.store.outbox import StoredOutcome


def repeated_outcome(outcome: str, row: InboxRow, request: ClaimRequest) -> StoredOutcome:
    """The stored outcome for this delivery. A reply to another body has a header that shows
    this."""
    reply = request.reply
    if row.is_of_other_body(request.digest):
        reply = msgspec.structs.replace(reply, id_conflict=True)
    return StoredOutcome(outcome, reply, request.now)


def claim_of_ended(row: InboxRow, request: ClaimRequest) -> ClaimResult:
    """The result for a command that has ended."""
    return ClaimResult(
        verdict="done",
        attempts=row.attempts,
        first_seen_at=row.first_seen_at,
        id_conflict=row.is_of_other_body(request.digest),
    )
