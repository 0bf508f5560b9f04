"""The claim of the command that a delivery brings."""

from worker.broker.messages import Delivery
from worker.commands.crash_suspects import is_crash_suspect
from worker.commands.parker import reply_of
from worker.commands.retry_policy import RetryPolicy
from worker.domain.command_keys import CommandKeys
from worker.store.claims import ClaimRequest


def claim_request(
    delivery: Delivery,
    keys: CommandKeys,
    policy: RetryPolicy,
    *,
    owner: str,
    now: float,
    finish_only: bool,
    reserve_only: bool,
) -> ClaimRequest:
    """The request to execute it now. `now` is in epoch seconds."""
    return ClaimRequest(
        command_id=keys.command_id,
        command_type=keys.command_type,
        owner=owner,
        now=now,
        lease_seconds=policy.lease,
        reconcile_seconds=policy.reconcile,
        abandoned_before=now - policy.max_age - policy.lease,
        app=keys.app,
        slot=keys.slot,
        rival_slots=keys.rivals,
        cancels_starts=keys.cancels_starts,
        start_id=keys.start_id,
        meeting_id=keys.meeting_id,
        recording_id=keys.recording_id,
        first_seen=delivery.first_seen,
        called_at=delivery.called_at if keys.slot else None,
        unparked=delivery.unparked,
        alone=is_crash_suspect(delivery),
        finish_only=finish_only,
        reserve_only=reserve_only,
        reply=reply_of(delivery),
        digest=keys.digest,
    )
