"""Acknowledges the deliveries of one channel, many with one frame where possible."""

import asyncio
from collections.abc import Sequence

from worker.broker.aiormq.raw_channel import RawChannel
from worker.broker.connection import broker_call
from worker.broker.topology import RPC_TIMEOUT_SECONDS


class Acknowledger:
    """Acknowledges together all deliveries that finish in one turn of the event loop.

    Commands finish in batches, because they are committed in batches. Delivery tags count up from 1
    on a channel. When all tags up to one tag are settled, a single frame acknowledges them.
    """

    def __init__(self, channel: RawChannel) -> None:
        self._channel = channel
        self._finished: list[int] = []
        self._is_writing = False
        # A frame for several tags also covers every lower tag, so it must not pass an open one.
        self._lowest_open = 1
        self._settled_above: set[int] = set()

    async def acknowledge(self, tag: int) -> None:
        """Acknowledge a delivery. Returns at once if another call is writing: that call
        acknowledges this delivery, too.

        Raises one of `BROKER_ERRORS` when the channel is closed.
        """
        self._finished.append(tag)
        if self._is_writing:
            return
        self._is_writing = True
        try:
            await asyncio.sleep(0)  # deliveries that finish in this turn are acknowledged with it
            while self._finished:
                tags, self._finished = self._finished, []
                await self._write(tags)
        finally:
            self._is_writing = False

    async def requeue(self, tag: int) -> None:
        """Return a delivery to its queue. Raises the same errors as `acknowledge`."""
        await self._nack(tag, requeue=True)

    async def reject(self, tag: int) -> None:
        """Make the broker dead-letter a delivery. Raises the same errors as `acknowledge`."""
        await self._nack(tag, requeue=False)

    async def _nack(self, tag: int, *, requeue: bool) -> None:
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            await broker_call(self._channel.basic_nack(tag, requeue=requeue, wait=False))
        # Not before the nack: an acknowledgement for several tags must not cover this one.
        self._mark_settled([tag])

    async def _write(self, tags: Sequence[int]) -> None:
        self._mark_settled(tags)
        covered = [tag for tag in tags if tag < self._lowest_open]
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            for tag in tags:
                if tag >= self._lowest_open:
                    await broker_call(self._channel.basic_ack(tag, wait=False))
            if covered:
                acknowledged = self._channel.basic_ack(
                    max(covered), multiple=len(covered) > 1, wait=False
                )
                await broker_call(acknowledged)

    def _mark_settled(self, tags: Sequence[int]) -> None:
        self._settled_above.update(tags)
        while self._lowest_open in self._settled_above:
            self._settled_above.remove(self._lowest_open)
            self._lowest_open += 1
