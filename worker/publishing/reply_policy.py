"""Decides to which queues replies may go. Pure."""

import re
from typing import Literal

from worker.broker.topology import Topology

Refusal = Literal["pattern", "own_queue"]


class ReplyPolicy:
    """Any publisher can name any queue in `reply_to`, and the worker may publish to all queues.

    `pattern` is a regular expression that a part of the queue's name must match, as in RabbitMQ's
    permissions and policies. A worker's own queues never get replies: a reply to the queue of
    commands would be dead-lettered, and one to a retry queue would end there.
    """

    def __init__(self, topology: Topology, pattern: str) -> None:
        self._own = {queue.name for queue in topology.queues}
        self._retry_prefix = f"{topology.command_queue}.retry."
        self._pattern = re.compile(pattern)

    def refusal(self, queue: str) -> Refusal | None:
        """Why a reply may not go to this queue. None if it may."""
        if queue in self._own or queue.startswith(self._retry_prefix):
            return "own_queue"
        return None if self._pattern.search(queue) else "pattern"
