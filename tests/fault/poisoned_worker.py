"""A worker that dies of some commands: whatever has `poison` in its id kills the process.

As a fault of the interpreter or of memory would: no exception, no word, nothing settled.
"""

import os
import signal
from typing import Any, Final

import worker.assembly
from recording_schemas import Command
from worker.__main__ import main
from worker.broker import Delivery
from worker.commands import Done
from worker.consume import CommandPath

POISONED: Final = ("tests.fault.poisoned_worker",)
POISON: Final = "poison"


class PoisonedPath(CommandPath):
    """Dies in each attempt of a poisonous command, also in one that only looks."""

    async def _act(self, delivery: Delivery, command: Command, *rest: Any, **how: Any) -> Done:
        if POISON in command.id:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super()._act(delivery, command, *rest, **how)


if __name__ == "__main__":
    vars(worker.assembly)["CommandPath"] = PoisonedPath
    main(["run"])
