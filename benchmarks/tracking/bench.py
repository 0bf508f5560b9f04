"""`python -m benchmarks.tracking.bench`: follow thousands of live recordings, in every way."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks.lineup import ROOT
from benchmarks.tracking import report
from benchmarks.tracking.facts import Pace, Scenario, Tracked
from benchmarks.tracking.scenario import Ground, play
from sandbox.postgresql import launch_postgresql
from sandbox.processes import OwnedDirectory
from sandbox.rabbitmq import launch_rabbitmq


def scenarios(live: Sequence[int], replicas: Sequence[int], hows: str) -> Iterator[Scenario]:
    """The naive way, then without and with webhooks; the smallest first."""
    for count in live:
        if "naive" in hows:
            yield Scenario(live=count, replicas=0, webhooks=False)
        for webhooks, how in ((False, "sweep"), (True, "webhooks")):
            if how in hows:
                for number in replicas:
                    yield Scenario(live=count, replicas=number, webhooks=webhooks)


async def run(chosen: Sequence[Scenario], pace: Pace) -> Tracked:
    """Each on a broker and a database server of its own; progress goes to stderr."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    outcomes = []
    for scenario in chosen:
        directory = OwnedDirectory("recording-tracking-")
        node = await asyncio.to_thread(launch_rabbitmq, private=True)
        database = await asyncio.to_thread(launch_postgresql, durable=True, private=True)
        try:
            ground = Ground(node, database, directory.path, say)
            outcomes.append(await play(scenario, pace, ground))
            say(report.line(outcomes[-1]))
        finally:
            await asyncio.to_thread(database.close)
            await asyncio.to_thread(node.close)
            directory.remove()
    return Tracked(pace=pace, outcomes=outcomes)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Read the command line, measure, and write it all down."""
    parser = argparse.ArgumentParser(description="Follow thousands of recordings on a budget.")
    parser.add_argument("--live", type=_numbers, default=[1000, 10_000])
    parser.add_argument("--replicas", type=_numbers, default=[1, 3])
    parser.add_argument("--hows", default="naive,sweep,webhooks", help="which ways")
    parser.add_argument("--seconds", type=float, default=Pace().seconds, help="of the steady part")
    parser.add_argument("--ends", type=float, default=Pace().ends, help="recordings a second")
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench-tracking.json")
    parser.add_argument("--docs", type=Path, help="a docs/performance.md to bring up to date")
    chosen = parser.parse_args()
    pace = Pace(seconds=chosen.seconds, ends=chosen.ends)
    wanted = list(scenarios(chosen.live, chosen.replicas, chosen.hows))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tracked = runner.run(run(wanted, pace))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(tracked)))
    print(report.text(tracked))
    if chosen.docs:
        report.write(tracked, chosen.docs)


if __name__ == "__main__":
    main()
