"""`python -m benchmarks.check_speed`: is the worker still about as fast as it was?

Ratios to the bare loop within one short run, with a margin that a busy machine does not use up.
The tails are those of single commands: in each round 300 of them, a hundred a second.
Exits with 1 and says which bound was left when it is not.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import uvloop

from benchmarks.bench import run
from benchmarks.contestant_list import contestants_named
from benchmarks.everyday_report import FIGURES, Figure, cpu
from benchmarks.goals import AT, Goal
from benchmarks.results import BenchResults, ContestantRound

ROUNDS: Final = 4
RATES: Final = {AT: 3.0}
COMMANDS: Final = 1500

MIN_SPEED_RATIO: Final = 0.85
MAX_CPU_RATIO: Final = 1.1
"""About half as good as measured on a quiet machine. Tighten them when the worker gets faster."""


MAX_SINGLE_CPU_RATIO: Final = 4.0
MAX_TAIL_RATIO: Final = 25.0
"""Of p99 at a hundred commands a second: twice the worst seen, while test suites used the disk. A
p99 is nearly the slowest command, and one slow sync of the disk is enough for it."""

_PAIR: Final = ("sqlite", "bare")


def tail_bounds(measured: BenchResults) -> list[Goal]:
    """What must hold for single commands. A ratio is the median of those of the rounds."""
    return [
        Goal(
            what=f"{what} at {AT:g}/s, SQLite to the bare loop",
            figure=measured.ratio(*_PAIR, _at_everyday_rate(figure)) or float("nan"),
            most=MAX_SINGLE_CPU_RATIO if figure is cpu else MAX_TAIL_RATIO,
        )
        for what, figure in FIGURES.items()
    ]


def _at_everyday_rate(figure: Figure) -> Callable[[ContestantRound], float]:
    return lambda one: figure(next(paced for paced in one.paced if paced.per_second == AT))


def bounds(measured: BenchResults) -> list[Goal]:
    """What must hold after every change."""
    pair = _PAIR
    return [
        Goal(
            what="commands/s, SQLite to the bare loop",
            figure=measured.ratio(*pair, lambda one: one.fast_api.per_second) or float("nan"),
            least=MIN_SPEED_RATIO,
        ),
        Goal(
            what="CPU per command, SQLite to the bare loop",
            figure=measured.ratio(*pair, lambda one: one.fast_api.cpu_ms) or float("nan"),
            most=MAX_CPU_RATIO,
        ),
        Goal(
            what="commands lost or doubled",
            figure=sum(one.wrong for one in measured.rounds),
            most=0,
            unit="",
        ),
    ]


def main() -> int:
    """Measure, print, judge."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(
            run(
                rounds=ROUNDS,
                commands=COMMANDS,
                contestants=contestants_named("bare,sqlite"),
                history=0,
                rates=RATES,
            )
        )
    judged = [*bounds(measured), *tail_bounds(measured)]
    for goal in judged:
        verdict = "ok" if goal.met else "TOO SLOW" if goal.unit else "WRONG"
        print(f"{goal.what}: {goal.figure:.2f} ({goal.bound}) {verdict}")
    return 0 if all(goal.met for goal in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
