"""One running contestant: its process, its API stub, and its measurements."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from benchmarks.bench_environment import BenchEnvironment, ReceivedOutcome
from benchmarks.contestant_environ import process_environ, settings_of
from benchmarks.contestant_list import Contestant, StartCommand, new_start_commands
from benchmarks.process_usage import ProcessUsage, usage_of_session
from benchmarks.stub_process import StubApi, stub_api
from recording_sandbox.services.processes import LaunchError, OwnedProcess
from recording_sandbox.waiting import eventually

READY_TIMEOUT_SECONDS: Final = 30.0
OUTCOMES_TIMEOUT_SECONDS: Final = 90.0
_POLL_INTERVAL_SECONDS: Final = 0.01
_SETTLE_SECONDS: Final = 0.3


class BurstResult(msgspec.Struct, frozen=True, kw_only=True):
    """The processing of a backlog of commands. CPU in milliseconds per command."""

    commands: int
    per_second: float
    cpu_ms: float
    broker_cpu_ms: float
    lost: int
    doubled: int


class PacedResult(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from a command's publish, at this rate, until the broker's confirm, the API
    request and the outcome. CPU in milliseconds per command."""

    per_second: float
    to_confirm: list[float]
    to_request: list[float]
    to_outcome: list[float]
    cpu_ms: float
    lost: int
    doubled: int


class ContestantProcess:
    """A contestant's process that is ready. `ready_seconds` is from its start to its consumer."""

    def __init__(
        self,
        contestant: Contestant,
        environment: BenchEnvironment,
        process: OwnedProcess,
        api: StubApi,
    ) -> None:
        self.api = api
        self.ready_seconds = 0.0
        self._contestant = contestant
        self._environment = environment
        self._process = process

    @property
    def usage(self) -> ProcessUsage:
        """The resources that its processes have used so far."""
        return usage_of_session(self._process.pid)

    async def wait_ready(self, since: float) -> None:
        """Return when it consumes. Raises LaunchError with its last output if it ended instead."""
        await wait_until_consuming(self._contestant, self._environment, self._process)
        self.ready_seconds = time.monotonic() - since

    async def burst(self, commands: int, *, delay: float) -> BurstResult:
        """Process a backlog that was queued before; the API answers after `delay`.

        The time ends with the last outcome; CPU is measured a little longer, because a sample in
        between would count half-done work fully or not at all. Some commands are sent before, so
        that connections are open.
        """
        await self.api.configure(delay=delay)
        warm_up = new_start_commands(min(self._contestant.in_flight, commands // 2))
        await self._queue_at_once(warm_up)
        await self._outcomes(len(warm_up))
        backlog = new_start_commands(commands)
        begun = await self._queue_at_once(backlog)
        done = await self._outcomes(len(warm_up) + commands)
        await asyncio.sleep(_SETTLE_SECONDS)  # acknowledgements and commits after the outcomes
        ended = self._usage_sample()
        async with self._environment.receive_outcomes() as received:
            await self._await_outcomes([*warm_up, *backlog], received)
        lost, doubled = await self._account([*warm_up, *backlog], received)
        return BurstResult(
            commands=commands,
            per_second=commands / (done.at - begun.at),
            cpu_ms=(ended.cpu - begun.cpu) * 1000 / commands,
            broker_cpu_ms=(ended.broker_cpu - begun.broker_cpu) * 1000 / commands,
            lost=lost,
            doubled=doubled,
        )

    async def paced(self, per_second: float, seconds: float) -> PacedResult:
        """Send commands at an even rate. Measures the delays of each to the API and to its
        outcome."""
        await self.api.configure(delay=0.0)
        commands = new_start_commands(round(per_second * seconds))
        sent: dict[str, float] = {}
        confirmed: dict[str, float] = {}

        async def send(start: StartCommand) -> None:
            sent[start.id] = time.monotonic()
            await self._environment.send_one(start, self._contestant.form)
            confirmed[start.id] = time.monotonic()

        before = self.usage.cpu
        async with self._environment.receive_outcomes() as received, asyncio.TaskGroup() as sending:
            begin = time.monotonic()
            for number, start in enumerate(commands):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
                sending.create_task(send(start))
            await self._await_outcomes(commands, received)
        await asyncio.sleep(_SETTLE_SECONDS)  # acknowledgements and commits after the outcomes
        cpu_ms = (self.usage.cpu - before) * 1000 / len(commands)
        start_times = await self.api.start_times()
        outcome_at = {outcome.command_id: outcome.at for outcome in reversed(received)}
        lost, doubled = await self._account(commands, received)
        answered = [
            start
            for start in commands
            if start.id in outcome_at and start.meeting_id in start_times
        ]
        return PacedResult(
            per_second=per_second,
            to_confirm=[(confirmed[start.id] - sent[start.id]) * 1000 for start in answered],
            to_request=[
                (start_times[start.meeting_id][0] - sent[start.id]) * 1000 for start in answered
            ],
            to_outcome=[(outcome_at[start.id] - sent[start.id]) * 1000 for start in answered],
            cpu_ms=cpu_ms,
            lost=lost,
            doubled=doubled,
        )

    async def _queue_at_once(self, backlog: Sequence[StartCommand]) -> "UsageSample":
        """Let it start on the whole backlog. Returns the sample of the moment before."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            await self._environment.send(backlog, self._contestant.form)
            return self._usage_sample()
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    async def _outcomes(self, count: int) -> "UsageSample":
        """The sample when there are `count` outcomes, or at the time-out.

        Until then only the broker is queried, because a sample costs CPU that contestants need.
        """
        deadline = time.monotonic() + OUTCOMES_TIMEOUT_SECONDS
        while True:
            waiting = await self._environment.outcomes_waiting()
            if waiting >= count or time.monotonic() > deadline:
                return self._usage_sample()
            await asyncio.sleep(_POLL_INTERVAL_SECONDS)

    def _usage_sample(self) -> "UsageSample":
        return UsageSample(time.monotonic(), self.usage.cpu, self._environment.broker_cpu())

    async def _await_outcomes(
        self, sent: Sequence[StartCommand], received: list[ReceivedOutcome]
    ) -> None:
        """Return when each command has an outcome, or at the time-out."""
        ids = {start.id for start in sent}
        try:
            await eventually(
                lambda: ids <= {outcome.command_id for outcome in received},
                seconds=OUTCOMES_TIMEOUT_SECONDS,
            )
        except AssertionError:
            return  # the figures will show it

    async def _account(
        self, sent: Iterable[StartCommand], received: list[ReceivedOutcome]
    ) -> tuple[int, int]:
        """The number of lost commands (no request or no outcome), and of doubled ones (more than
        one)."""
        start_times = await self.api.start_times()
        outcomes = Counter(
            command
            for command, _ in {(outcome.command_id, outcome.event_id) for outcome in received}
        )
        lost = doubled = 0
        for start in sent:
            counts = (len(start_times.get(start.meeting_id, ())), outcomes[start.id])
            lost += min(counts) == 0
            doubled += max(counts) > 1
        return lost, doubled


async def wait_until_consuming(
    contestant: Contestant, environment: BenchEnvironment, process: OwnedProcess
) -> None:
    """Return when the process consumes. Raises LaunchError with its last output if it ended."""

    async def consumes_or_ended() -> bool:
        return not process.running or await environment.consumers() > 0

    await eventually(consumes_or_ended, seconds=READY_TIMEOUT_SECONDS, description=contestant.name)
    if not process.running:
        raise LaunchError(f"{contestant.name} ended:\n{process.log_tail()}")


class UsageSample(msgspec.Struct, frozen=True):
    at: float
    cpu: float
    broker_cpu: float


@asynccontextmanager
async def run_contestant(
    contestant: Contestant,
    environment: BenchEnvironment,
    *,
    database: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[ContestantProcess]:
    """The contestant, ready, until the block ends. It must end cleanly then.

    It gets a new, empty `database` unless one is given, and more `settings`.

    Raises:
        LaunchError: when it does not become ready, or leaves commands unacknowledged.
    """
    async with stub_api(environment.directory) as api:
        environ = settings_of(contestant, environment, api.url, database=database)
        log = environment.directory / f"{contestant.name}.log"
        log.unlink(missing_ok=True)
        since = time.monotonic()
        process = OwnedProcess(
            contestant.command, environ=process_environ({**environ, **(settings or {})}), log=log
        )
        try:
            running = ContestantProcess(contestant, environment, process, api)
            await running.wait_ready(since)
            yield running
        finally:
            await asyncio.to_thread(process.end, signal.SIGTERM, seconds=20)
            left = await environment.sweep_up()
        if left:
            raise LaunchError(f"{contestant.name} left {left} commands unacknowledged")
