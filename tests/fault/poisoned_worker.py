"""A worker that dies of some commands: a command with `poison` in its id kills the process.

The process dies as by a fault of the interpreter or of memory: no exception, no log line, nothing
acknowledged.
"""

import os
import signal
from typing import Final

import worker.commands.handler
from worker.__main__ import main
from worker.commands.attempt_runner import Attempt, AttemptRunner
from worker.commands.decision import AttemptMode
from worker.commands.operations.context import OperationResult, Progress

POISONED_MODULE: Final = ("tests.fault.poisoned_worker",)
POISON: Final = "poison"


class PoisonedRunner(AttemptRunner):
    """Dies in each attempt of a poisonous command, also in a read."""

    async def run(self, attempt: Attempt, mode: AttemptMode, progress: Progress) -> OperationResult:
        if POISON in attempt.command.id:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().run(attempt, mode, progress)


if __name__ == "__main__":
    vars(worker.commands.handler)["AttemptRunner"] = PoisonedRunner
    main(["run"])
