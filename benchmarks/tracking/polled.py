"""The naive way: a process polls each recording."""

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.contestant_environ import process_environ
from benchmarks.process_usage import usage_of_session
from benchmarks.tracking import delays
from benchmarks.tracking.environment import APP, EmulatedApi, EventTimes
from benchmarks.tracking.measuring import (
    FILL_PER_SECOND,
    Adoption,
    ScenarioServices,
    outcome,
    steady,
)
from benchmarks.tracking.results import LoadProfile, Scenario, ScenarioResult
from recording_sandbox.services.processes import OwnedProcess


async def polled(
    scenario: Scenario, profile: LoadProfile, services: ScenarioServices, api: EmulatedApi
) -> ScenarioResult:
    """Fill the API, let recordings end, and measure when the process sees it."""
    await api.fill(scenario.live, FILL_PER_SECOND, scenario.kind)
    await asyncio.sleep(2.0)  # until all are RECORDING
    ids = services.directory / "ids.txt"
    ids.write_text("\n".join(api.meetings))
    log = services.directory / "naive.log"
    log.unlink(missing_ok=True)
    url = f"{api.url}/client/v4/accounts/account/realtime/kit/{APP}"
    process = OwnedProcess(
        [sys.executable, "-m", "benchmarks.tracking.naive", url, str(ids)],
        environ=process_environ({}),
        log=log,
    )
    try:
        services.say(f"{scenario.label}: {scenario.live} are live")
        part = await steady(profile, api, partial(usage_of_session, process.pid))
        await asyncio.sleep(profile.upload_seconds + 10.0)
        received = _events_of_naive(log)
        return outcome(scenario, profile, api, received, part, Adoption())
    finally:
        await asyncio.to_thread(process.end, signal.SIGTERM, seconds=5)


class _StatusRead(msgspec.Struct):
    recording_id: str
    status: str
    at: float


def _events_of_naive(log: Path) -> EventTimes:
    received = EventTimes()
    for line in log.read_bytes().splitlines():
        status_read = msgspec.json.decode(line, type=_StatusRead)
        received.statuses[status_read.recording_id, status_read.status] = status_read.at
        if status_read.status == "UPLOADED":  # its GET also returns the files
            received.files[status_read.recording_id] = [status_read.at] * delays.FILES
            received.completed[status_read.recording_id] = status_read.at
    return received
