"""`python -m benchmarks.check_speed`: checks that the worker has not become much slower.

It compares ratios to the bare loop within one short run, with a margin for busy machines: first
backlogs of commands, then single commands (`benchmarks.tails`). Exits with 1 and names the exceeded
bound if a ratio is too large.
"""

import asyncio
import sys
from typing import Final

import uvloop

from benchmarks.bench import run
from benchmarks.bench_environment import open_bench_environment
from benchmarks.contestant_list import contestants_named
from benchmarks.goals import Goal
from benchmarks.results import BenchResults
from benchmarks.tails import measure_tails

ROUNDS: Final = 4
COMMANDS: Final = 1500

MIN_SPEED_RATIO: Final = 0.85
MAX_CPU_RATIO: Final = 1.1
"""About half as good as measured on a quiet machine. Tighten them when the worker gets faster."""


_PAIR: Final = ("sqlite", "bare")


def bounds(measured: BenchResults) -> list[Goal]:
    """The goals that must be met after every change."""
    pair = _PAIR
    return [
        Goal(
            name="commands/s, SQLite to the bare loop",
            figure=measured.ratio(*pair, lambda result: result.fast_api.per_second) or float("nan"),
            least=MIN_SPEED_RATIO,
        ),
        Goal(
            name="CPU per command, SQLite to the bare loop",
            figure=measured.ratio(*pair, lambda result: result.fast_api.cpu_ms) or float("nan"),
            most=MAX_CPU_RATIO,
        ),
        Goal(
            name="commands lost or doubled",
            figure=sum(result.wrong for result in measured.rounds),
            most=0,
            unit="",
        ),
    ]


async def _measure_single() -> list[Goal]:
    async with open_bench_environment(with_postgresql=False) as environment:
        return await measure_tails(environment)


def main() -> int:
    """Measure, print and compare with the bounds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(
            run(
                rounds=ROUNDS,
                commands=COMMANDS,
                contestants=contestants_named("bare,sqlite"),
                history=0,
                rates={},
            )
        )
        single = runner.run(_measure_single())
    all_goals = [*bounds(measured), *single]
    for goal in all_goals:
        verdict = "ok" if goal.met else "TOO SLOW" if goal.unit else "WRONG"
        print(f"{goal.name}: {goal.figure:.2f} ({goal.bound}) {verdict}")
    return 0 if all(goal.met for goal in all_goals) else 1


if __name__ == "__main__":
    sys.exit(main())
