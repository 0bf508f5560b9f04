"""What happens to the workers: kills, freezes, restarts, cut connections, an API in trouble."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tests.fault.killable_worker import KillableWorker
from tests.fault.tcp_proxy import TcpProxy
from tests.oracle.replicas import Replicas
from tests.oracle.request_faults import Condition
from tests.oracle.stand_in import StandIn

READY_SECONDS: Final = 40.0


@dataclass
class Strikes:
    """Strikes until it is cancelled; afterwards `repair` undoes what is left."""

    dice: random.Random
    replicas: Replicas
    broker: TcpProxy
    api: StandIn
    pause_seconds: float

    async def strike_on(self) -> None:
        """One strike after the other, with pauses. A cancellation waits for the end of a strike."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.3, 1.7) * self.pause_seconds)
            strike = asyncio.create_task(self._draw()())
            try:
                await asyncio.shield(strike)
            except asyncio.CancelledError:
                await strike
                raise

    async def repair(self) -> list[int]:
        """Let everything run again. Returns the replicas that do not become ready."""
        await self.broker.restore()
        for number, worker in enumerate(self.replicas.workers):
            if worker.running:
                worker.thaw()
            else:
                worker.start()
            self.replicas.come_back(number)
        late = []
        for number, worker in enumerate(self.replicas.workers):
            try:
                await worker.ready(seconds=READY_SECONDS)
            except AssertionError:
                late.append(number)
        return late

    def _draw(self) -> Callable[[], Coroutine[Any, Any, None]]:
        weights = {
            self._kill: 4,
            self._freeze: 3,
            self._stop: 2,
            self._cut: 2,
            self._stall: 1,
            self._trouble_api: 3,
        }
        return self.dice.choices(list(weights), list(weights.values()))[0]

    async def _kill(self) -> None:
        number, worker = self._choose()
        self.replicas.leave(number)
        worker.kill()
        await asyncio.sleep(self.dice.choice((0.0, 0.3, 1.0)))
        worker.start()
        self.replicas.come_back(number)

    async def _freeze(self) -> None:
        number, worker = self._choose()
        if worker.running:
            self.replicas.leave(number)
            worker.freeze()
            await asyncio.sleep(self.dice.choice((0.2, 1.0, 2.5)))
            worker.thaw()
            self.replicas.come_back(number)

    async def _stop(self) -> None:
        number, worker = self._choose()
        self.replicas.leave(number)
        await asyncio.to_thread(worker.stop, seconds=10)
        worker.start()
        self.replicas.come_back(number)

    async def _cut(self) -> None:
        self.broker.cut(self.dice.choice(("reset", "fin")))

    async def _stall(self) -> None:
        self.broker.stall()
        await asyncio.sleep(self.dice.uniform(0.2, 1.0))
        await self.broker.restore()

    async def _trouble_api(self) -> None:
        conditions: tuple[Condition, ...] = (
            "unauthorized",
            "forbidden",
            "throttled",
            "down",
            "silent",
        )
        seconds = self.dice.uniform(0.5, 2.0)
        self.api.faults.set_condition(self.dice.choice(conditions), seconds)

    def _choose(self) -> tuple[int, KillableWorker]:
        number = self.dice.randrange(len(self.replicas.workers))
        return number, self.replicas.workers[number]
