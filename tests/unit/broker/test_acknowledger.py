"""The order of the frames that settle deliveries, on a channel whose socket is busy."""

import asyncio
from typing import Any

from worker.broker.acknowledger import Acknowledger


class BusyChannel:
    """The library's channel. Returning a delivery waits for the socket."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, int, bool]] = []
        self.is_free = asyncio.Event()

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        self.frames.append(("ack", tag, multiple))

    async def basic_nack(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        await self.is_free.wait()
        self.frames.append(("nack", tag, requeue))


async def test_a_delivery_is_not_acknowledged_with_others_while_it_is_being_returned() -> None:
    busy: Any = BusyChannel()
    acknowledger = Acknowledger(busy)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(acknowledger.requeue(1))
        await asyncio.sleep(0)
        await asyncio.gather(acknowledger.acknowledge(2), acknowledger.acknowledge(3))
        busy.is_free.set()
    assert busy.frames == [("ack", 2, False), ("ack", 3, False), ("nack", 1, True)]
