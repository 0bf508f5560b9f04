"""Parks commands: they wait in the store instead of the queue.

The store must not contain secrets. So the message of a start with secrets stays in the retry
queues. Each time it is delivered, the store says whether it is due. That costs no request to the
API.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from recording_schemas import Command, ErrorInfo
from worker.broker.kept_copy import envelope_of
from worker.broker.messages import Ack, Delivery, Retry, Settlement
from worker.commands.park import Park
from worker.commands.retry_policy import RetryPolicy
from worker.domain.command_keys import holds_secrets, metadata_of
from worker.store.outbox import Reply
from worker.store.parking import KeptMessage, ParkRequest, RepeatRequest
from worker.store.store import Store

PARKED: Final = "parked"
"""The code of a parked command, and the outcome in its log line."""

REPEAT: Final = ErrorInfo(code=PARKED, message="the command is parked, and this is a repeat of it")
NOT_DUE: Final = ErrorInfo(code=PARKED, message="its session or start does not exist yet")


class CommandParker:
    """Parks the commands of this replica, `owner`. `now` is in seconds since the epoch."""

    def __init__(
        self, store: Store, policy: RetryPolicy, *, owner: str, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._policy = policy
        self._owner = owner
        self._now = now

    async def park(
        self, delivery: Delivery, command: Command, app: str, decision: Park
    ) -> Settlement | None:
        """Park the command; returns the settlement of its delivery.

        None if it cannot be parked, because another replica has it or a stop has cancelled it.
        """
        has_secrets, now = holds_secrets(command), self._now()
        request = ParkRequest(
            command_id=command.id,
            owner=self._owner,
            waits_for=decision.waits_for,
            app=app,
            subject=decision.subject,
            now=now,
            due_at=decision.due_at,
            ignore_lists_until=decision.ignore_lists_until,
            message=None if has_secrets else self._kept(delivery, decision.reason),
            last_error=msgspec.json.encode(decision.reason).decode(),
            reply=reply_of_start(delivery, command),
        )
        if not await self._store.park(request):
            return None
        return self.postpone(decision.reason, decision.due_at - now) if has_secrets else Ack()

    async def park_repeat(self, delivery: Delivery, command: Command) -> Settlement:
        """Store a repeat of a parked command until the outcome, if it has a `reply_to`."""
        if not delivery.reply_to:
            return Ack()
        request = RepeatRequest(command_id=command.id, message=self._kept(delivery, REPEAT))
        if holds_secrets(command) or not await self._store.park_repeat(request):
            return self.postpone(REPEAT)
        return Ack()

    def postpone(self, reason: ErrorInfo = NOT_DUE, remaining: float = float("inf")) -> Retry:
        """Send the delivery of a parked command through the retry queues. Its age does not grow."""
        return Retry(
            delay_seconds=self._policy.recheck_parked(remaining),
            code=reason.code,
            reason=reason.message,
            first_seen=self._now(),
        )

    def _kept(self, delivery: Delivery, reason: ErrorInfo) -> KeptMessage:
        envelope = envelope_of(delivery, code=reason.code, reason=reason.message, now=self._now())
        return KeptMessage(body=delivery.body, envelope=envelope)


def reply_of(delivery: Delivery) -> Reply:
    """The queue that this delivery names for its outcome, and the ids that the outcome repeats."""
    return Reply(
        reply_to=delivery.reply_to or None,
        correlation_id=delivery.correlation_id,
        trace=delivery.trace,
    )


def reply_of_start(delivery: Delivery, command: Command) -> Reply:
    """The reply to store with a start whose outcome a stop may publish."""
    return msgspec.structs.replace(reply_of(delivery), metadata=metadata_of(command))
