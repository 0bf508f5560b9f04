"""Common parts of the scenarios: their services, their steady part, and their figures."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.process_usage import ProcessUsage
from benchmarks.tracking import delays
from benchmarks.tracking.environment import EmulatedApi, EventTimes
from benchmarks.tracking.results import READS, LoadProfile, Part, Scenario, ScenarioResult
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually

FILL_PER_SECOND: Final = 250.0

Say = Callable[[str], None]


class ScenarioServices:
    """Broker, database, a directory, and the output for progress."""

    def __init__(
        self, node: RabbitMQNode, database: PostgreSQLServer, directory: Path, say: Say
    ) -> None:
        self.node = node
        self.database = database
        self.directory = directory
        self.say = say


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took until all live recordings were followed, in seconds.

    Requests count from `counted_from` on (epoch seconds). `ready` is the time until a worker was
    ready after all had been killed, None without kills.
    """

    seconds: float = 0.0
    counted_from: float = 0.0
    ready: float | None = None


async def steady(profile: LoadProfile, api: EmulatedApi, usage: Callable[[], ProcessUsage]) -> Part:
    """End recordings at the rate of their life times."""
    since, cpu = time.time(), usage().cpu
    ended = await api.end_some(profile.ends, profile.seconds)
    return part_since(since, cpu, usage(), set(ended))


def part_since(since: float, cpu: float, usage: ProcessUsage, ended: set[str]) -> Part:
    """The part from `since` to now, when `cpu` seconds had been taken before it."""
    until = time.time()
    share = (usage.cpu - cpu) / (until - since)
    return Part(since=since, until=until, cpu=share, rss=usage.rss, ended=ended)


async def drain(received: EventTimes, ended: set[str], seconds: float) -> None:
    """Wait until all files of the ended recordings have events, or until the time-out."""
    try:
        await eventually(lambda: ended <= received.completed.keys(), seconds=seconds)
    except AssertionError:
        return  # the figures will show it


async def await_status(
    received: EventTimes, recordings: set[str], status: str, seconds: float, *, must: bool = True
) -> None:
    """Wait until each recording has an event with this status. With `must`, a time-out is an
    error."""
    try:
        await eventually(
            lambda: received.have(recordings, status), seconds=seconds, description=status
        )
    except AssertionError:
        if must:
            raise


def outcome(
    scenario: Scenario,
    profile: LoadProfile,
    api: EmulatedApi,
    received: EventTimes,
    part: Part,
    adoption: Adoption,
    *,
    burst: set[str] | None = None,
) -> ScenarioResult:
    """The scenario's figures. `burst` are the recordings that ended in the burst."""
    request_log = api.request_log(adoption.counted_from)
    operations, breaches, busiest = delays.requests(request_log)
    in_part = delays.within(request_log, part.since, part.until)
    seconds = part.until - part.since
    return ScenarioResult(
        scenario=scenario,
        ends_per_second=profile.ends,
        adopted_seconds=adoption.seconds,
        requests=operations,
        breaches=breaches,
        busiest=busiest,
        per_second=in_part.total() / seconds,
        sweeping_per_second=(in_part.total() - _reads(in_part)) / seconds,
        reads_each=_reads(operations) / max(1, len(received.completed)),
        status=delays.status_delays(request_log, received, part.ended),
        files=delays.file_delays(request_log, received, part.ended),
        burst=delays.status_delays(request_log, received, burst) if burst else None,
        burst_changes=2 * profile.ends_in_burst(scenario),
        cpu=part.cpu,
        rss=part.rss,
        ready_seconds=adoption.ready,
    )


def _reads(operations: Mapping[str, int]) -> int:
    return sum(count for name, count in operations.items() if name in READS)
