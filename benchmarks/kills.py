"""`python -m benchmarks.kills`: the same job while `kill -9` repeatedly ends the contestant.

Commands arrive at an even rate, and the API answers after a delay. So each kill hits some commands
whose call was executed and whose answer is not yet stored. The contestant is started again at once.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.bench_environment import BenchEnvironment, ReceivedOutcome, open_bench_environment
from benchmarks.contestant_environ import process_environ, settings_of
from benchmarks.contestant_list import (
    ROOT,
    Contestant,
    StartCommand,
    contestants_named,
    new_start_commands,
)
from benchmarks.contestant_process import READY_TIMEOUT_SECONDS, wait_until_consuming
from benchmarks.report import Table, markdown, replace_section
from benchmarks.stub_process import stub_api
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually

PER_SECOND: Final = 20.0
ANSWER_SECONDS: Final = 0.3
KILL_INTERVAL_SECONDS: Final = 2.0
LATE_AFTER_SECONDS: Final = 5.0
OUTCOMES_TIMEOUT_SECONDS: Final = 150.0
"""After the last kill. Longer than every documented delay: this worker repeats a call after 42 s,
procrastinate's task for stalled jobs needs up to 90 s."""


class KillsResult(msgspec.Struct, frozen=True, kw_only=True):
    """The commands' results.

    `late` is the number of commands without outcome LATE_AFTER_SECONDS after the last kill.
    `finished_seconds` is from the last kill to the last outcome.
    """

    contestant: str
    label: str
    kills: int
    commands: int
    called_twice: int
    lost: int
    late: int
    finished_seconds: float


class _KillableContestant:
    """A contestant's process, which is killed and started again."""

    def __init__(
        self, contestant: Contestant, environment: BenchEnvironment, settings: dict[str, str]
    ) -> None:
        self._contestant = contestant
        self._environment = environment
        self._settings = process_environ(settings)
        self._log = environment.directory / f"{contestant.name}.log"
        self._process = self._start()

    def _start(self) -> OwnedProcess:
        return OwnedProcess(self._contestant.command, environ=self._settings, log=self._log)

    async def ready(self) -> None:
        """Return when it consumes. Raises LaunchError if it ended instead."""
        await wait_until_consuming(self._contestant, self._environment, self._process)

    async def kill_and_restart(self) -> None:
        await asyncio.to_thread(self._process.kill)
        await eventually(self._is_noticed, seconds=READY_TIMEOUT_SECONDS)
        self._process = self._start()
        await self.ready()

    async def _is_noticed(self) -> bool:
        return await self._environment.consumers() == 0

    def end(self) -> None:
        self._process.kill()


async def measure(contestant: Contestant, environment: BenchEnvironment, kills: int) -> KillsResult:
    """Measure a contestant under kills, until each command has an outcome or the time-out."""
    async with stub_api(environment.directory) as api:
        await api.configure(delay=ANSWER_SECONDS)
        process = _KillableContestant(
            contestant, environment, settings_of(contestant, environment, api.url)
        )
        sent: list[StartCommand] = []
        try:
            await process.ready()
            async with environment.receive_outcomes() as received:
                sending = asyncio.create_task(_send_evenly(contestant, environment, sent))
                for _ in range(kills):
                    await asyncio.sleep(KILL_INTERVAL_SECONDS)
                    await process.kill_and_restart()
                killed_at = time.monotonic()
                sending.cancel()
                await asyncio.wait([sending])
                await _await_outcomes(sent, received)
                await asyncio.sleep(1.0)  # a repeated call may arrive last
                start_times = await api.start_times()
        finally:
            process.end()
            await environment.sweep_up()
    outcome_at = {outcome.command_id: outcome.at for outcome in reversed(received)}
    after_kill = [outcome_at[start.id] - killed_at for start in sent if start.id in outcome_at]
    lost = len(sent) - len(after_kill)
    return KillsResult(
        contestant=contestant.name,
        label=contestant.label,
        kills=kills,
        commands=len(sent),
        called_twice=sum(len(start_times.get(start.meeting_id, ())) > 1 for start in sent),
        lost=lost,
        late=lost + sum(seconds > LATE_AFTER_SECONDS for seconds in after_kill),
        finished_seconds=max(0.0, *after_kill),
    )


async def _send_evenly(
    contestant: Contestant, environment: BenchEnvironment, sent: list[StartCommand]
) -> None:
    while True:
        (command,) = new_start_commands(1)
        await environment.send_one(command, contestant.form)
        sent.append(command)
        await asyncio.sleep(1 / PER_SECOND)


async def _await_outcomes(sent: Sequence[StartCommand], received: list[ReceivedOutcome]) -> None:
    """Return when each command has an outcome, or at the time-out."""
    ids = {start.id for start in sent}
    with suppress(AssertionError):  # the figures will show it
        await eventually(
            lambda: ids <= {outcome.command_id for outcome in received},
            seconds=OUTCOMES_TIMEOUT_SECONDS,
        )


def table(results: Sequence[KillsResult]) -> Table:
    """A row for each contestant."""
    head = (
        "", "API calls made twice", "events lost",
        f"no outcome {LATE_AFTER_SECONDS:g} s after the last kill", "last outcome after it, s",
    )  # fmt: skip
    return [
        head,
        *(
            (
                result.label,
                f"{result.called_twice} of {result.commands}",
                str(result.lost),
                str(result.late),
                "never" if result.lost else f"{result.finished_seconds:.1f}",
            )
            for result in results
        ),
    ]


def section(results: Sequence[KillsResult]) -> str:
    """The text about a run for the page."""
    kills = results[0].kills if results else 0
    return (
        f"{kills} kills, {KILL_INTERVAL_SECONDS:g} s after each start, at {PER_SECOND:g} commands "
        f"a second. The API executes a call at once and answers {ANSWER_SECONDS:g} s later.\n\n"
        + markdown(table(results))
    )


async def run(contestants: Sequence[Contestant], kills: int) -> list[KillsResult]:
    """Measure all contestants, one after the other; progress goes to stderr."""
    with_postgresql = any(contestant.database == "postgresql" for contestant in contestants)
    async with open_bench_environment(with_postgresql=with_postgresql) as environment:
        results = []
        for contestant in contestants:
            results.append(await measure(contestant, environment, kills))
            print(" ".join(table(results)[-1]), file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Read the command line, measure, and write the results."""
    parser = argparse.ArgumentParser(description="Kill the worker and the alternatives at work.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench-kills.json")
    parser.add_argument("--docs", type=Path, help="a page to bring up to date")
    chosen = parser.parse_args()
    try:
        contestants = contestants_named(chosen.only)
    except ValueError as error:
        parser.error(f"--only: {error}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(run(contestants, chosen.kills))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    print(markdown(table(results)))
    if chosen.docs:
        replace_section(chosen.docs, "bench-kills", "make bench-kills", section(results))


if __name__ == "__main__":
    main()
