"""`python -m benchmarks.bench`: all contestants do the same job in one run."""

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aio_pika
import msgspec
import uvloop

from benchmarks import report
from benchmarks.bench_environment import BenchEnvironment, open_bench_environment
from benchmarks.contestant_list import ROOT, Contestant, contestants_named
from benchmarks.contestant_process import run_contestant
from benchmarks.everyday import EVERYDAY, EverydayRound, entries, measure_everyday
from benchmarks.everyday_report import everyday_section, write_everyday
from benchmarks.results import BenchResults, ContestantRound, Machine
from benchmarks.worker_alone import WorkloadSizes, measure_worker_alone

PACED_SECONDS: Final = {20.0: 2.0, 50.0: 2.0, 100.0: 6.0}
"""The seconds for which commands are sent at each rate. The last rate is judged by its p99, which
needs hundreds of commands."""

SLOW_API_SECONDS: Final = 0.1


async def one_round(
    contestant: Contestant,
    number: int,
    commands: int,
    environment: BenchEnvironment,
    rates: Mapping[float, float],
) -> ContestantRound:
    """A contestant's part of one round: start, idle, paced, a backlog, a backlog with a slow
    API."""
    backlog = round(commands * contestant.share)
    async with run_contestant(contestant, environment) as process:
        await asyncio.sleep(0.3)  # until the work of a start is over
        idle_rss = process.usage.rss
        return ContestantRound(
            contestant=contestant.name,
            number=number,
            ready_seconds=process.ready_seconds,
            idle_rss=idle_rss,
            paced=[await process.paced(*pace) for pace in rates.items()],
            fast_api=await process.burst(backlog, delay=0.0),
            slow_api=await process.burst(backlog, delay=SLOW_API_SECONDS),
        )


async def run(
    *,
    rounds: int,
    commands: int,
    contestants: tuple[Contestant, ...],
    history: int,
    rates: Mapping[float, float] = PACED_SECONDS,
) -> BenchResults:
    """Measure everything; progress goes to stderr."""
    say = _progress_printer()
    say("starting RabbitMQ and what else is needed")
    databases = {contestant.database for contestant in contestants}
    async with open_bench_environment(with_postgresql="postgresql" in databases) as environment:
        done: list[ContestantRound] = []
        for number in range(1, rounds + 1):
            # Each round begins with a different contestant, so that no contestant has a fixed
            # predecessor.
            turn = (number - 1) * len(contestants) // rounds
            for contestant in (*contestants[turn:], *contestants[:turn]):
                done.append(await one_round(contestant, number, commands, environment, rates))
                say(f"round {number}  {_line(done[-1])}")
        own = None
        if any(contestant.name == "sqlite" for contestant in contestants) and history:
            sizes = WorkloadSizes(commands=commands, rounds=rounds, history=history)
            own = await measure_worker_alone(environment, sizes, say)
        machine = await _machine(environment)
    return BenchResults(machine=machine, commands=commands, rounds=done, own=own)


async def run_everyday(*, rounds: int) -> list[EverydayRound]:
    """Measure everyday rates alone; progress goes to stderr."""
    say = _progress_printer()
    async with open_bench_environment(with_postgresql=True) as environment:
        return await measure_everyday(environment, entries(), say, rounds=rounds)


def _progress_printer() -> Callable[[str], None]:
    """Prints lines with the seconds since now."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def _line(result: ContestantRound) -> str:
    fast, slow = result.fast_api, result.slow_api
    wrong = f"  {result.wrong} LOST OR DOUBLED" if result.wrong else ""
    return (
        f"{result.contestant:<11} {fast.per_second:7.0f}/s {fast.cpu_ms:6.2f} ms CPU"
        f"   at 100 ms {slow.per_second:6.0f}/s   ready {result.ready_seconds:4.2f} s{wrong}"
    )


async def _machine(environment: BenchEnvironment) -> Machine:
    connection = await aio_pika.connect(environment.node.amqp_url)
    async with connection:
        properties = connection.transport.connection.server_properties  # type: ignore[union-attr]
    return Machine(
        processors=os.cpu_count() or 0,
        python=platform.python_version(),
        rabbitmq=str(properties.get("version", "")),
    )


def main() -> None:
    """Read the command line, measure, and write the results."""
    parser = argparse.ArgumentParser(description="Compare the worker with the alternatives.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", type=int, default=6000, help="in a backlog")
    parser.add_argument(
        "--only", default="", help=f"contestants, separated by commas, or {EVERYDAY}: their rates"
    )
    parser.add_argument("--history", type=int, default=1_000_000, help="0 leaves out the rest")
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench.json")
    parser.add_argument(
        "--docs", type=Path, help="a docs/explanation/performance.md to bring up to date"
    )
    chosen = parser.parse_args()
    if chosen.only != EVERYDAY:
        _bench(parser, chosen)
    if chosen.only in {"", EVERYDAY}:
        _bench_everyday(chosen)


def _bench_everyday(chosen: argparse.Namespace) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rounds = runner.run(run_everyday(rounds=chosen.rounds))
    json = chosen.json.with_stem(f"{chosen.json.stem}-{EVERYDAY}")
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.encode(rounds))
    print(everyday_section(rounds))
    if chosen.docs:
        write_everyday(rounds, chosen.docs)


def _bench(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    try:
        contestants = contestants_named(chosen.only)
    except ValueError as error:
        parser.error(f"--only: {error}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(
            run(
                rounds=chosen.rounds,
                commands=chosen.commands,
                contestants=contestants,
                history=chosen.history,
            )
        )
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
    print(report.text(measured))
    if chosen.docs:
        report.write(measured, chosen.docs)


if __name__ == "__main__":
    main()
