"""Acknowledging the deliveries of one channel, many with one write to the socket."""

import asyncio
from collections.abc import Sequence

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.commands import Basic

from worker.broker.connection import broker_call
from worker.broker.topology import RPC_TIMEOUT_SECONDS


class Acknowledging:
    """Acknowledges together what ends in one turn of the loop.

    Commands end in batches, because they are committed in batches. Delivery tags count up from 1
    on a channel: when all up to one of them are settled, one frame stands for all.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ended: list[int] = []
        self._writing = False
        # The lowest tag that is not settled, and what is settled above it: a later one must not
        # cover it.
        self._lowest = 1
        self._above: set[int] = set()

    async def acknowledge(self, tag: int) -> None:
        """Acknowledge, at once or together with others whose caller is writing already.

        Raises one of `BROKER_TROUBLE` when the channel is closed.
        """
        self._ended.append(tag)
        if self._writing:
            return
        self._writing = True
        try:
            await asyncio.sleep(0)  # those that end in this turn come along
            while self._ended:
                ended, self._ended = self._ended, []
                await self._write(self._frames(ended))
        finally:
            self._writing = False

    async def give_back(self, tag: int) -> None:
        """Return a delivery to its queue. Raises as `acknowledge` does."""
        await self._write([Basic.Nack(delivery_tag=tag, requeue=True)])
        self._settled([tag])  # only now: an acknowledgement must not overtake it

    def _frames(self, tags: Sequence[int]) -> list[Basic.Ack]:
        self._settled(tags)
        covered = [tag for tag in tags if tag < self._lowest]
        frames = [Basic.Ack(delivery_tag=tag) for tag in tags if tag >= self._lowest]
        if covered:
            frames.append(Basic.Ack(delivery_tag=max(covered), multiple=len(covered) > 1))
        return frames

    def _settled(self, tags: Sequence[int]) -> None:
        self._above.update(tags)
        while self._lowest in self._above:
            self._above.remove(self._lowest)
            self._lowest += 1

    async def _write(self, frames: Sequence[Basic.Ack | Basic.Nack]) -> None:
        async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
            await broker_call(self._put(frames))

    async def _put(self, frames: Sequence[Basic.Ack | Basic.Nack]) -> None:
        async with self._channel.lock:  # raises when the channel is closed
            await self._channel.write_queue.put(ChannelFrame.marshall(self._channel.number, frames))
