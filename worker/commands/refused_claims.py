"""Settles deliveries that are not executed now: repeats, and other bodies of a command id."""

from collections.abc import Callable
from typing import Final

from recording_schemas import Command
from worker.broker.messages import Ack, Dead, Delivery, Retry
from worker.commands.completion import CommandCompleter, HandledCommand, retry_later
from worker.commands.parker import PARKED, REPEAT, CommandParker
from worker.commands.retry_policy import RetryPolicy
from worker.store.claims import ClaimResult

ID_IN_USE: Final = "id_in_use"
"""The code of a message that waits because another body with its id has no outcome yet."""


class RefusedClaims:
    """Settles deliveries whose claim has another verdict than `new` or `again`.

    `now` is in seconds since the epoch.
    """

    def __init__(
        self,
        parker: CommandParker,
        completer: CommandCompleter,
        policy: RetryPolicy,
        *,
        now: Callable[[], float],
    ) -> None:
        self._parker = parker
        self._completer = completer
        self._policy = policy
        self._now = now

    async def settle(
        self, delivery: Delivery, command: Command, claim: ClaimResult
    ) -> HandledCommand:
        """Settle a command. Raises StoreUnavailable."""
        if claim.verdict == "done":
            handled = HandledCommand(Ack(), {"outcome": "repeated"})
        elif claim.verdict == "parked":
            settlement = await self._parker.park_repeat(delivery, command)
            handled = HandledCommand(settlement, {"outcome": "repeated", "code": PARKED})
        elif claim.verdict == "waiting":
            handled = _parked(self._parker.postpone())
        else:
            handled = await self._wait(delivery, claim)
        return _with_conflict(claim, handled)

    async def settle_malformed(
        self, delivery: Delivery, claim: ClaimResult, dead: Dead
    ) -> HandledCommand:
        """Settle a message that is not a command. Raises StoreUnavailable."""
        # Retry queues do not take a body that was not read. Waiting here would occupy the prefetch.
        if claim.verdict == "done" or (claim.id_conflict and delivery.unread_bytes):
            handled = HandledCommand(dead, {"outcome": "repeated", "code": dead.code})
        elif claim.verdict in {"parked", "waiting"}:
            handled = _parked(self._parker.postpone(REPEAT))
        else:
            handled = await self._wait(delivery, claim)
        return _with_conflict(claim, handled)

    async def _wait(self, delivery: Delivery, claim: ClaimResult) -> HandledCommand:
        """Deliver again later. If the first body of the id is lost, first end its command."""
        if claim.verdict == "busy":
            delay = self._policy.shortest_delay
            reason = "this command, or another start of its meeting, is being executed"
            return retry_later(delay, "busy", reason, redelivery_count=delivery.redelivery_count)
        if claim.lost is not None:
            await self._completer.complete_lost(claim.lost)
        delay = self._policy.recheck_conflict(delivery.first_seen, self._now())
        reason = "another body with this id arrived first and has no outcome yet"
        return retry_later(delay, ID_IN_USE, reason, redelivery_count=delivery.redelivery_count)


def _parked(retry: Retry) -> HandledCommand:
    return HandledCommand(retry, {"outcome": PARKED})


def _with_conflict(claim: ClaimResult, handled: HandledCommand) -> HandledCommand:
    """The same. The log line says if the message has the id of another body."""
    if not claim.id_conflict:
        return handled
    return handled._replace(log_fields={**handled.log_fields, "id_conflict": True})
