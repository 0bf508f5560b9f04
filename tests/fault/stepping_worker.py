"""A worker that kills itself at one enumerated point: `FAULT_KILL_AT`, a `KillAt` as JSON.

It is the worker itself, put together of rooms whose coroutines are driven step by step. Which
points it came through it writes to the file `FAULT_REPORTS`.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage

import worker.app
from tests.fault.stepping import KillAt, Steps
from worker.__main__ import main
from worker.broker import Consumer
from worker.relay import Relay
from worker.store import Unsent
from worker.sweep import Sweep


def install(steps: Steps) -> None:
    """Let the worker be built of stepping rooms."""

    class SteppingConsumer(Consumer):
        async def _handle(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
            await steps.whole(_which(message), super()._handle(channel, message))

    class SteppingRelay(Relay):
        async def once(self) -> bool:
            steps.anew("relay")
            return await steps.whole("relay", super().once())

        async def _in_order(self, line: list[Unsent]) -> list[Unsent]:
            return await steps.part("relay", super()._in_order(line))

    class SteppingSweep(Sweep):
        async def once(self) -> None:
            steps.anew("sweep")
            await steps.whole("sweep", super().once())

        async def _follow_up(self, *look: Any) -> None:
            await steps.part("sweep", super()._follow_up(*look))

    vars(worker.app).update(Consumer=SteppingConsumer, Relay=SteppingRelay, Sweep=SteppingSweep)


def _which(message: DeliveredMessage) -> str:
    try:
        return f"command/{msgspec.json.decode(message.body)['id']}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"command/{message.header.properties.message_id}"


if __name__ == "__main__":
    kill_at = msgspec.json.decode(os.environ["FAULT_KILL_AT"], type=KillAt)
    install(Steps(kill_at, Path(os.environ["FAULT_REPORTS"])))
    main(["run"])
