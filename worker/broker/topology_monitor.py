"""Declares removed queues, exchanges and bindings again while the worker runs."""

import asyncio
import math
import time
from typing import Final

import structlog

from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.raw_channel import NotAllowed
from worker.broker.connection import BROKER_ERRORS, described
from worker.broker.publisher import Publisher

TOPOLOGY_CHECK_INTERVAL_SECONDS: Final = 30.0
"""How often the consumer of commands looks for exchanges, queues and bindings that were removed."""

TOPOLOGY_CHECK_TIMEOUT_SECONDS: Final = 5.0


class TopologyMonitor:
    """Checks the topology in the interval, on a connection that consumes.

    Nothing else would notice a missing retry queue or dead-letter queue: the broker returns
    messages that are published to it, or confirms them for another queue. Only a connection that
    consumes can check, because an alarm blocks connections that publish.
    """

    def __init__(self, publisher: Publisher, interval: float) -> None:
        self._publisher = publisher
        self._interval = interval
        self._checked_at = -math.inf

    def mark_done(self) -> None:
        """The topology was checked just now."""
        self._checked_at = time.monotonic()

    def make_due(self) -> None:
        """Something may be missing."""
        self._checked_at = -math.inf

    async def check_if_due(self, connection: TolerantConnection) -> None:
        """Declare removed exchanges, queues and bindings. Raises TopologyDiffers."""
        if time.monotonic() < self._checked_at + self._interval:
            return
        try:
            async with asyncio.timeout(TOPOLOGY_CHECK_TIMEOUT_SECONDS):
                await self._publisher.prepare_topology(connection)
        except BROKER_ERRORS as error:
            if isinstance(error, NotAllowed):  # a limit may allow the user no further channel
                self._interval = math.inf
            # The right to declare may have been withdrawn. Consuming works without it.
            structlog.get_logger().warning("topology_not_checked", reason=described(error))
        self.mark_done()
