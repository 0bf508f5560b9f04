"""`python -m benchmarks.tracking.bench`: follow thousands of live recordings, in every way."""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.contestant_list import ROOT
from benchmarks.tracking import report
from benchmarks.tracking.measuring import ScenarioServices
from benchmarks.tracking.results import (
    MANY_LIVE,
    LoadProfile,
    Scenario,
    ScenarioResult,
    TrackingResults,
)
from benchmarks.tracking.scenario import play
from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.processes import OwnedDirectory
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_schemas import Kind

WAYS: Final = "naive,sweep,webhooks,endings,storms"
_KINDS: Final[tuple[Kind, ...]] = ("track", "composite")


def _storm(live: int, seconds: float, kind: Kind, *, webhooks: bool) -> Scenario:
    return Scenario(
        live=live, replicas=1, webhooks=webhooks, all_end=True, kind=kind, storm_seconds=seconds
    )


STORMS: Final = (
    _storm(5_000, 10.0, "composite", webhooks=False),
    _storm(5_000, 10.0, "composite", webhooks=True),
    _storm(5_000, 10.0, "track", webhooks=True),
    _storm(20_000, 60.0, "composite", webhooks=True),
)
"""A company's meetings end within ten seconds; 20,000 webhooks arrive in a minute."""


def scenarios(
    live: Sequence[int],
    replicas: Sequence[int],
    ways: str,
) -> Iterator[Scenario]:
    """The scenarios: polling, without and with webhooks, then mass endings; the smallest first.

    At `MANY_LIVE` recordings, storms are added. With more, there is no polling and no mass ending.
    """
    for count in live:
        if "naive" in ways and count <= MANY_LIVE:
            yield Scenario(live=count, replicas=0, webhooks=False)
        for webhooks, way in ((False, "sweep"), (True, "webhooks")):
            if way in ways:
                for number in replicas:
                    yield Scenario(live=count, replicas=number, webhooks=webhooks)
        yield from _endings(count, ways)


def _endings(count: int, ways: str) -> Iterator[Scenario]:
    if "endings" in ways and count <= MANY_LIVE:
        for kind, webhooks in product(_KINDS, (False, True)):
            yield Scenario(live=count, replicas=1, webhooks=webhooks, all_end=True, kind=kind)
    if "storms" in ways and count == MANY_LIVE:
        yield from STORMS


async def run(
    chosen: Sequence[Scenario],
    profile: LoadProfile,
    *,
    at_once: int = 1,
    keep: Callable[[TrackingResults], None] = lambda _tracked: None,
) -> TrackingResults:
    """Run each scenario with a private broker and database server; progress goes to stderr.

    `at_once` scenarios run at a time; each begins when another one is over. `keep` gets the results
    so far after each scenario, so that a failure does not cost the others.
    """
    begun = time.monotonic()
    turns = asyncio.Semaphore(at_once)
    tracked = TrackingResults(profile=profile, outcomes=[])

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    async def measure(scenario: Scenario) -> None:
        nonlocal tracked
        async with turns:
            outcome = await _alone(scenario, profile, say)
        say(report.line(outcome))
        tracked = merged([tracked, TrackingResults(profile=profile, outcomes=[outcome])])
        keep(tracked)

    async with asyncio.TaskGroup() as group:
        for scenario in chosen:
            group.create_task(measure(scenario))
    return tracked


async def _alone(
    scenario: Scenario, profile: LoadProfile, say: Callable[[str], None]
) -> ScenarioResult:
    directory = OwnedDirectory("recording-tracking-")
    node = await asyncio.to_thread(launch_rabbitmq, private=True)
    database = await asyncio.to_thread(launch_postgresql, durable=True, private=True)
    try:
        return await play(scenario, profile, ScenarioServices(node, database, directory.path, say))
    finally:
        await asyncio.to_thread(database.close)
        await asyncio.to_thread(node.close)
        directory.remove()


def merged(runs: Sequence[TrackingResults]) -> TrackingResults:
    """Merge several runs with one load profile. If runs share a scenario, the last result
    counts."""
    if any(results.profile != runs[0].profile for results in runs):
        raise SystemExit("runs of different paces cannot stand in one table")
    outcomes = {outcome.scenario: outcome for run in runs for outcome in run.outcomes}
    order = sorted(
        outcomes,
        key=lambda scenario: (
            *(scenario.all_end, scenario.storm_seconds is not None, scenario.live),
            *(scenario.replicas > 0, scenario.kind, scenario.webhooks, scenario.replicas),
        ),
    )
    return TrackingResults(
        profile=runs[0].profile, outcomes=[outcomes[scenario] for scenario in order]
    )


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _read(path: Path) -> TrackingResults:
    decoded = msgspec.json.decode(path.read_bytes())
    for outcome in decoded["outcomes"]:
        for delays in (outcome[name] for name in ("status", "files", "burst") if outcome[name]):
            # A missing event has the delay NaN, which JSON writes as null.
            delays |= {name: math.nan for name, value in delays.items() if value is None}
        if mass := outcome.get("mass"):
            for part in (mass, mass["uploaded"], mass["stops"]):
                part |= {name: math.nan for name, value in part.items() if value is None}
    return msgspec.convert(decoded, TrackingResults)


def _write(path: Path, tracked: TrackingResults) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tracked)))


def main() -> None:
    """Read the command line, measure, and write the results."""
    parser = argparse.ArgumentParser(description="Follow thousands of recordings on a budget.")
    parser.add_argument("--live", type=_numbers, default=[1000, 10_000])
    parser.add_argument("--replicas", type=_numbers, default=[1, 3])
    parser.add_argument("--ways", default=WAYS, help=f"which ways, of {WAYS}")
    parser.add_argument(
        "--seconds", type=float, default=LoadProfile().seconds, help="of the steady part"
    )
    parser.add_argument(
        "--ends", type=float, default=LoadProfile().ends, help="recordings a second"
    )
    parser.add_argument(
        "--mass-seconds",
        type=float,
        default=LoadProfile().mass_seconds,
        help="within which all end",
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=LoadProfile().mass_drain_seconds,
        help="seconds for which events are awaited after all have ended",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench-tracking.json")
    parser.add_argument("--at-once", type=int, default=1, help="the number of scenarios at a time")
    parser.add_argument("--results", type=Path, nargs="+", help="such files, instead of measuring")
    parser.add_argument(
        "--docs", type=Path, help="a docs/explanation/performance.md to bring up to date"
    )
    chosen = parser.parse_args()
    if chosen.at_once < 1:
        parser.error("--at-once: at least 1")
    if chosen.results:
        tracked = merged([_read(path) for path in chosen.results])
    else:
        profile = LoadProfile(
            seconds=chosen.seconds,
            ends=chosen.ends,
            mass_seconds=chosen.mass_seconds,
            mass_drain_seconds=chosen.drain,
        )
        chosen_scenarios = list(scenarios(chosen.live, chosen.replicas, chosen.ways))
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        keep = partial(_write, chosen.json)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            tracked = runner.run(run(chosen_scenarios, profile, at_once=chosen.at_once, keep=keep))
    print(report.text(tracked))
    if chosen.docs:
        report.write(tracked, chosen.docs)


if __name__ == "__main__":
    main()
