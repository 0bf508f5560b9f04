"""Measures the worker as a process: its time to readiness, and the cost of a backlog."""

from collections.abc import Sequence

from benchmarks.bench_environment import BenchEnvironment
from benchmarks.contestant_list import contestants_named
from benchmarks.contestant_process import run_contestant
from benchmarks.history.results import Measured

GROUP = "The process"


async def measure_processes(
    engine: str,
    environment: BenchEnvironment,
    urls: Sequence[str],
    *,
    rounds: int,
    commands: int,
) -> list[Measured]:
    """Start the worker on each database alternately, the short history first, and measure its
    work."""
    (worker,) = contestants_named(engine)
    ready: list[list[float]] = [[] for _ in urls]
    cpu: list[list[float]] = [[] for _ in urls]
    for _ in range(rounds):
        for place, url in enumerate(urls):
            async with run_contestant(worker, environment, database=url) as process:
                ready[place].append(process.ready_seconds * 1000)
                cpu[place].append((await process.burst(commands, delay=0.0)).cpu_ms)
    return [
        Measured(group=GROUP, name=name, short=tuple(times[0]), long=tuple(times[1]))
        for name, times in (("start to ready", ready), ("CPU of a start in a burst", cpu))
    ]
