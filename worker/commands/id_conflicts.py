"""Messages with the command id of another body: they wait for the outcome of that body."""

from collections.abc import Callable
from typing import Final

from worker.broker.messages import Delivery
from worker.commands.completion import CommandCompleter, HandledCommand, retry_later
from worker.commands.retry_policy import RetryPolicy
from worker.store.claims import ClaimResult

ID_IN_USE: Final = "id_in_use"
"""The code of a message that waits because another body with its id has no outcome yet."""

_REASON: Final = "another body with this id came first and has no outcome yet"


class IdConflicts:
    """Settles messages whose claim was refused as `id_in_use` or `lost`.

    `now` is in seconds since the epoch.
    """

    def __init__(
        self, completer: CommandCompleter, policy: RetryPolicy, *, now: Callable[[], float]
    ) -> None:
        self._completer = completer
        self._policy = policy
        self._now = now

    async def wait(self, delivery: Delivery, claim: ClaimResult) -> HandledCommand:
        """Deliver the message again later. If the first body is lost, end its command before.

        Raises StoreUnavailable.
        """
        if claim.lost is not None:
            await self._completer.complete_lost(claim.lost)
        delay = self._policy.recheck_conflict(delivery.first_seen, self._now())
        return retry_later(delay, ID_IN_USE, _REASON, redelivery_count=delivery.redelivery_count)


def with_conflict(claim: ClaimResult, handled: HandledCommand) -> HandledCommand:
    """The same, marked in the log if the message has the id of another body."""
    if not claim.id_conflict:
        return handled
    return handled._replace(log_fields={**handled.log_fields, "id_conflict": True})
