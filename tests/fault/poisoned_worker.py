"""A worker that dies of some commands: whatever has `poison` in its id kills the process.

As a fault of the interpreter or of memory would: no exception, no word, nothing settled.
"""

import os
import signal
from typing import Any, Final

import worker.bootstrap
from recording_schemas import Command
from worker.__main__ import main
from worker.broker.messages import Delivery
from worker.commands.handler import CommandHandler
from worker.commands.operations.context import OperationResult

POISONED_MODULE: Final = ("tests.fault.poisoned_worker",)
POISON: Final = "poison"


class PoisonedCommandHandler(CommandHandler):
    """Dies in each attempt of a poisonous command, also in one that only looks."""

    async def _run(
        self, delivery: Delivery, command: Command, *rest: Any, **how: Any
    ) -> OperationResult:
        if POISON in command.id:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super()._run(delivery, command, *rest, **how)


if __name__ == "__main__":
    vars(worker.bootstrap)["CommandHandler"] = PoisonedCommandHandler
    main(["run"])
