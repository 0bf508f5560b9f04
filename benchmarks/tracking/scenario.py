"""One scenario from its beginning to its figures."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.contestant_process import process_environ
from benchmarks.process_usage import usage_of_session
from benchmarks.tracking import delays
from benchmarks.tracking.environment import (
    APP,
    EmulatedApi,
    EventTimes,
    emulated_api,
    listening,
    stop_one_by_one,
    workers,
)
from benchmarks.tracking.results import READS, LoadProfile, Scenario, ScenarioResult
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually

FILL_PER_SECOND: Final = 250.0
ADOPTED_WITHIN: Final = 600.0
"""By then every live recording must be known, or the scenario has failed."""

STOPS: Final = 50
"""So many are stopped by commands while all the others end."""

Say = Callable[[str], None]


class ScenarioServices:
    """Broker, database, a directory, and where progress is told."""

    def __init__(
        self, node: RabbitMQNode, database: PostgreSQLServer, directory: Path, say: Say
    ) -> None:
        self.node = node
        self.database = database
        self.directory = directory
        self.say = say


class Watch:
    """What some processes take: `cpu` seconds since the start, and the most `rss` of any."""

    def __init__(self, sessions: Sequence[int]) -> None:
        self._sessions = sessions
        self.rss = 0

    @property
    def cpu(self) -> float:
        """Of all together."""
        return sum(usage_of_session(session).cpu for session in self._sessions)

    async def run(self) -> None:
        """Look once a second."""
        while True:
            self.rss = max(self.rss, *(usage_of_session(session).rss for session in self._sessions))
            await asyncio.sleep(1.0)


class Steady(msgspec.Struct, frozen=True):
    """The steady part: when, what it took, and who ended."""

    since: float
    until: float
    cpu: float
    ended: set[str]


async def play(
    scenario: Scenario, profile: LoadProfile, ground: ScenarioServices
) -> ScenarioResult:
    """Fill the API, let recordings end, and measure how late the events came."""
    async with emulated_api(ground.directory, profile) as api:
        if scenario.replicas:
            return await _followed(scenario, profile, ground, api)
        return await _polled(scenario, profile, ground, api)


async def _followed(
    scenario: Scenario, profile: LoadProfile, ground: ScenarioServices, api: EmulatedApi
) -> ScenarioResult:
    async with (
        workers(scenario, api, ground.node, ground.database, ground.directory) as running,
        listening(ground.node.amqp_url) as received,
        _watching([one.pid for one in running]) as watch,
    ):
        begun = time.monotonic()
        await api.fill(scenario.live, FILL_PER_SECOND, scenario.kind)
        ground.say(f"{scenario.label}: {scenario.live} are live")
        await _all_told(received, set(api.meetings), "RECORDING", ADOPTED_WITHIN)
        adopted = time.monotonic() - begun
        ground.say(f"{scenario.label}: all are followed after {adopted:.0f} s")
        if scenario.all_end:
            return await _all_ended(
                scenario, profile, ground, api, received, watch, adopted=adopted
            )
        steady = await _steady(scenario, profile, api, watch)
        await _drain(received, steady.ended, profile.drain_seconds)
        burst: set[str] = set()
        if scenario.webhooks:
            ground.say(f"{scenario.label}: {2 * profile.burst_ends:g} changes/s")
            burst = set(await api.end_some(profile.burst_ends, profile.burst_seconds))
            await asyncio.sleep(profile.upload_seconds)
            await _all_told(received, burst, "UPLOADED", profile.drain_seconds, must=False)
        return _outcome(
            scenario, profile, api, received, steady, watch, adopted=adopted, burst=burst
        )


async def _all_ended(
    scenario: Scenario,
    profile: LoadProfile,
    ground: ScenarioServices,
    api: EmulatedApi,
    received: EventTimes,
    watch: Watch,
    *,
    adopted: float,
) -> ScenarioResult:
    """Everybody ends, and the events are awaited for as long as the profile says.

    A few are stopped by commands meanwhile.
    """
    to_stop = sorted(api.meetings)[:STOPS]
    for recording_id in to_stop:
        del api.meetings[recording_id]
    sent: list[float] = []
    pause = (profile.mass_seconds + profile.mass_drain_seconds) / (STOPS + 1)
    since, cpu = time.time(), watch.cpu
    stopping = asyncio.create_task(stop_one_by_one(ground.node.amqp_url, to_stop, pause, sent))
    try:
        ended = set(await api.end_all(profile.mass_seconds))
        await _drain(received, ended, profile.mass_drain_seconds)
    finally:
        stopping.cancel()
        await asyncio.wait([stopping])
    until = time.time()
    part = Steady(since, until, (watch.cpu - cpu) / (until - since), ended)
    outcome = _outcome(scenario, profile, api, received, part, watch, adopted=adopted, burst=set())
    mass = delays.mass_ending(api.request_log(), received, part.ended, since, until, sent)
    return msgspec.structs.replace(outcome, mass=mass)


async def _polled(
    scenario: Scenario, profile: LoadProfile, ground: ScenarioServices, api: EmulatedApi
) -> ScenarioResult:
    await api.fill(scenario.live, FILL_PER_SECOND, scenario.kind)
    await asyncio.sleep(2.0)  # until all are RECORDING
    ids = ground.directory / "ids.txt"
    ids.write_text("\n".join(api.meetings))
    log = ground.directory / "naive.log"
    log.unlink(missing_ok=True)
    url = f"{api.url}/client/v4/accounts/account/realtime/kit/{APP}"
    process = OwnedProcess(
        [sys.executable, "-m", "benchmarks.tracking.naive", url, str(ids)],
        environ=process_environ({}),
        log=log,
    )
    try:
        async with _watching([process.pid]) as watch:
            ground.say(f"{scenario.label}: {scenario.live} are live")
            steady = await _steady(scenario, profile, api, watch)
            await asyncio.sleep(profile.upload_seconds + 10.0)
            received = _events_of_naive(log)
            return _outcome(
                scenario, profile, api, received, steady, watch, adopted=0.0, burst=set()
            )
    finally:
        await asyncio.to_thread(process.end, signal.SIGTERM, seconds=5)


def _reads(operations: Mapping[str, int]) -> int:
    return sum(count for name, count in operations.items() if name in READS)


class _Seen(msgspec.Struct):
    recording_id: str
    status: str
    at: float


def _events_of_naive(log: Path) -> EventTimes:
    received = EventTimes()
    for line in log.read_bytes().splitlines():
        seen = msgspec.json.decode(line, type=_Seen)
        received.statuses[seen.recording_id, seen.status] = seen.at
        if seen.status == "UPLOADED":  # its GET tells the files too
            received.files[seen.recording_id] = [seen.at] * delays.FILES
            received.completed[seen.recording_id] = seen.at
    return received


@asynccontextmanager
async def _watching(sessions: Sequence[int]) -> AsyncIterator[Watch]:
    watch = Watch(sessions)
    watching = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        watching.cancel()


async def _steady(
    scenario: Scenario, profile: LoadProfile, api: EmulatedApi, watch: Watch
) -> Steady:
    """Recordings end as they do when each lives its time."""
    since, cpu = time.time(), watch.cpu
    ended = await api.end_some(profile.ends, profile.seconds)
    until = time.time()
    return Steady(since, until, (watch.cpu - cpu) / (until - since), set(ended))


async def _drain(received: EventTimes, ended: set[str], seconds: float) -> None:
    """Until the files of all that ended are told, or nobody can wait any longer."""
    try:
        await eventually(lambda: ended <= received.completed.keys(), seconds=seconds)
    except AssertionError:
        return  # the figures will show it


async def _all_told(
    received: EventTimes, recordings: set[str], status: str, seconds: float, *, must: bool = True
) -> None:
    try:
        await eventually(lambda: received.have(recordings, status), seconds=seconds, what=status)
    except AssertionError:
        if must:
            raise


def _outcome(
    scenario: Scenario,
    profile: LoadProfile,
    api: EmulatedApi,
    received: EventTimes,
    steady: Steady,
    watch: Watch,
    *,
    adopted: float,
    burst: set[str],
) -> ScenarioResult:
    request_log = api.request_log()
    operations, breaches, busiest = delays.requests(request_log)
    in_steady = delays.within(request_log, steady.since, steady.until)
    seconds = steady.until - steady.since
    return ScenarioResult(
        scenario=scenario,
        ends_per_second=profile.ends,
        adopted_seconds=adopted,
        requests=operations,
        breaches=breaches,
        busiest=busiest,
        per_second=in_steady.total() / seconds,
        sweeping_per_second=(in_steady.total() - _reads(in_steady)) / seconds,
        reads_each=_reads(operations) / max(1, len(received.completed)),
        status=delays.status_delays(request_log, received, steady.ended),
        files=delays.file_delays(request_log, received, steady.ended),
        burst=delays.status_delays(request_log, received, burst) if burst else None,
        cpu=steady.cpu,
        rss=watch.rss,
    )
