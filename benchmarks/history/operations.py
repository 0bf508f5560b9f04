"""The measured operations: all queries of the worker, the command line and the console."""

from typing import Final

from benchmarks.history.command_line import COMMAND_LINE
from benchmarks.history.commands import COMMANDS
from benchmarks.history.console import CONSOLE
from benchmarks.history.following import FOLLOWING
from benchmarks.history.places import Operation
from benchmarks.history.upkeep import UPKEEP

OPERATIONS: Final = tuple(
    Operation(name=name, group=group, run=run)
    for group, runs in (
        ("Commands", COMMANDS),
        ("Following and publishing", FOLLOWING),
        ("Command line", COMMAND_LINE),
        ("Console", CONSOLE),
        ("Pruning", UPKEEP),  # last, because it removes rows
    )
    for name, run in runs.items()
)
