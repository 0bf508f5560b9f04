"""Answers commands that the broker dead-lettered: each gets an outcome. The letters stay."""

from collections.abc import Awaitable, Callable
from typing import Final

from worker.broker.deaths import REJECTED
from worker.broker.messages import Ack, Dead, Delivery, Settlement

MAX_CONCURRENT: Final = 10
"""The worker answers at most this many dead letters at a time, in addition to commands."""


class DeadLetterHandler:
    """Handles copies of dead letters: `handle` is given to the broker's consumer.

    `handle` is that of the `CommandHandler`. `on_dead_letter` is called with the broker's reason.
    Before a worker rejects a body above `max_command_bytes` it has committed the outcome.
    """

    def __init__(
        self,
        handle: Callable[[Delivery], Awaitable[Settlement]],
        *,
        max_command_bytes: int,
        on_dead_letter: Callable[[str], None],
    ) -> None:
        self._handle = handle
        self._max_command_bytes = max_command_bytes
        self._on_dead_letter = on_dead_letter

    async def handle(self, delivery: Delivery) -> Settlement:
        """End the command if the broker dead-lettered it, so that it has an outcome. Never raises.

        A message that a worker dead-lettered already has its outcome. A command that cannot end
        yet, such as a start that may have been executed, goes to a retry queue. Its copy keeps the
        mark of `delivery`, so that it is not executed.
        """
        if delivery.dead_reason is None or self._was_refused_unread(delivery):
            return Ack()
        settlement = await self._handle(delivery)
        if isinstance(settlement, Dead):
            return Ack()  # the message is already among the dead letters
        self._on_dead_letter(delivery.dead_reason)
        return settlement

    def _was_refused_unread(self, delivery: Delivery) -> bool:
        return delivery.dead_reason == REJECTED and delivery.size > self._max_command_bytes
