"""Decides to which queues replies may go. Pure."""

from typing import Final, Literal

import regex

from worker.broker.topology import Topology

Refusal = Literal["pattern", "own_queue", "slow_pattern"]

MAX_SEARCH_SECONDS: Final = 0.01
"""A usual pattern takes microseconds. Some patterns with nested repeats would take years for some
names, and everything else waits for the search. The library `re` has no such limit."""


class ReplyPolicy:
    """Any publisher can name any queue in `reply_to`, and the worker may publish to all queues.

    `pattern` is a regular expression that a part of the queue's name must match, as in RabbitMQ's
    permissions and policies. A worker's own queues never get replies: a reply to the queue of
    commands would be dead-lettered, and one to a retry queue would end there. A name for which the
    search takes too long is refused.
    """

    def __init__(self, topology: Topology, pattern: str) -> None:
        self._own = {queue.name for queue in topology.queues}
        self._retry_prefix = f"{topology.command_queue}.retry."
        self._pattern = regex.compile(pattern)

    def refusal(self, queue: str) -> Refusal | None:
        """Why a reply may not go to this queue. None if it may."""
        if queue in self._own or queue.startswith(self._retry_prefix):
            return "own_queue"
        if not self._pattern.pattern:
            return None
        try:
            match = self._pattern.search(queue, timeout=MAX_SEARCH_SECONDS)
        except TimeoutError:
            return "slow_pattern"
        return "pattern" if match is None else None
