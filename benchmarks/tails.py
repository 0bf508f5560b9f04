"""The tails of single commands, measured so that noise of the machine counts little.

Other work on the machine makes some windows slower, and never one faster. A fault of the worker is
in every window. So the best of several windows counts for each contestant, and windows of
contestants alternate. If possible, the worker's database is in memory: a slow sync of the disk is
not the worker's fault, and it alone would be the whole tail.
"""

import time
from pathlib import Path
from typing import Final

from benchmarks.bench_environment import BenchEnvironment
from benchmarks.contestant_list import Contestant, contestants_named
from benchmarks.contestant_process import PacedResult, run_contestant
from benchmarks.everyday import WARM_UP
from benchmarks.everyday_report import cpu, event_p99, request_p99
from benchmarks.goals import Goal

ROUNDS: Final = 4
WINDOWS: Final = 2
"""How many windows each process gets in a round."""

PER_SECOND: Final = 50.0
WINDOW_SECONDS: Final = 4.0
"""A window: 200 commands, so that p99 is the third slowest. At this rate commands do not queue."""

MAX_CPU_RATIO: Final = 3.0
MAX_REQUEST_RATIO: Final = 4.0
MAX_EVENT_RATIO: Final = 4.0
"""The highest ratios of the worker's figures to the bare loop's. A quiet machine measured at most
2.1, 2.4 and 2.6."""

CALM_MS: Final = 5.0
"""If the bare loop's best p99 to the request is longer, the machine is too busy to judge tails."""

MAX_BUSY_RATIO: Final = 25.0
"""The highest ratio on a busy machine. It finds only a collapse."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a database of its own name, removed afterwards


async def measure_tails(environment: BenchEnvironment) -> list[Goal]:
    """The goals for p99 at this rate, SQLite to the bare loop."""
    windows: dict[str, list[PacedResult]] = {}
    for number in range(ROUNDS):
        contestants = contestants_named("bare,sqlite")
        for contestant in contestants[:: -1 if number % 2 else 1]:
            windows.setdefault(contestant.name, []).extend(await _windows(environment, contestant))
    return goals_of(windows["sqlite"], windows["bare"])


def goals_of(worker: list[PacedResult], bare: list[PacedResult]) -> list[Goal]:
    """The goals for the best windows of each."""
    is_calm = min(map(request_p99, bare)) <= CALM_MS
    figures = (
        ("CPU per command", cpu, MAX_CPU_RATIO),
        ("p99 from confirm to API request", request_p99, MAX_REQUEST_RATIO),
        ("p99 from confirm to event", event_p99, MAX_EVENT_RATIO),
    )
    wrong = sum(paced.lost + paced.doubled for paced in worker)
    goals = [
        Goal(
            name=f"{name} at {PER_SECOND:g}/s, SQLite to the bare loop, "
            + ("best windows" if is_calm else "busy machine"),
            figure=min(map(figure, worker)) / min(map(figure, bare)),
            most=most if is_calm or figure is cpu else MAX_BUSY_RATIO,
        )
        for name, figure, most in figures
    ]
    lost = Goal(name="single commands lost or doubled", figure=wrong, most=0, unit="")
    return [*goals, lost]


async def _windows(environment: BenchEnvironment, contestant: Contestant) -> list[PacedResult]:
    path = (_MEMORY if _MEMORY.is_dir() else environment.directory) / f"{time.monotonic_ns()}.db"
    database = f"sqlite:///{path}" if contestant.database else None
    try:
        async with run_contestant(contestant, environment, database=database) as process:
            await process.paced(*WARM_UP)
            return [await process.paced(PER_SECOND, WINDOW_SECONDS) for _ in range(WINDOWS)]
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
