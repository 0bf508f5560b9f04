"""The faults of a campaign: kills, freezes, cut and silent connections."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from tests.fault.fault_environment import FaultEnvironment
from tests.fault.killable_worker import KillableWorker

LINK_FAULTS: Final = ("reset", "reset", "fin", "fin", "stall", "delay", "black hole", "freeze one")
"""The faults of links. All but the cuts last for a while."""

FREEZES: Final = ((0.1, 2.0), (2.0, 7.0), (9.0, 12.0))
"""How many seconds a freeze may last. The last range is longer than the leases of the workers."""


class Strikes:
    """Chooses at random which worker or link fails, how, and when. `freezes` and `links` count."""

    def __init__(
        self, environment: FaultEnvironment, workers: Sequence[KillableWorker], dice: Random
    ) -> None:
        self._environment = environment
        self._workers = workers
        self._dice = dice
        self.freezes = 0
        self.links = 0

    async def kill(self) -> None:
        """Kill a worker and start it again: while it starts, or at work with broken links."""
        dice, worker = self._dice, self._dice.choice(self._workers)
        if dice.random() < 0.15:  # while it starts
            await asyncio.sleep(dice.uniform(0, 0.8))
        else:
            await worker.ready()
            if dice.random() < 0.2:
                await self._break_a_link()
            await asyncio.sleep(dice.uniform(0, 1.0))
        assert worker.running, worker.last_words()
        worker.kill()
        worker.start()

    async def freeze_sometimes(self) -> None:
        """Before some kills, freeze a worker and resume it; the other workers continue
        meanwhile."""
        dice = self._dice
        if dice.random() >= 0.15:
            return
        worker = dice.choice(self._workers)
        if dice.random() < 0.8:
            await worker.ready()
        assert worker.running, worker.last_words()
        self.freezes += 1
        worker.freeze()
        try:
            await asyncio.sleep(dice.uniform(*dice.choices(FREEZES, (60, 25, 15))[0]))
        finally:
            worker.thaw()

    async def _break_a_link(self) -> None:
        link, how = self._dice.choice(self._environment.links), self._dice.choice(LINK_FAULTS)
        self.links += 1
        longest = 2.0
        match how:
            case "reset" | "fin":
                link.cut(how)
                return
            case "stall":
                link.stall()
            case "delay":
                link.delay(self._dice.uniform(0.05, 0.3))
            case "freeze one":
                link.freeze_one(self._dice)
                longest = 12.0
            case _:
                link.black_hole()
        await asyncio.sleep(self._dice.uniform(0.2, longest))
        await link.restore()
