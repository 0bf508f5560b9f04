"""All recordings end together, within minutes or in a storm of seconds."""

import asyncio
import time
from typing import Final

import msgspec

from benchmarks.tracking import delays
from benchmarks.tracking.environment import EmulatedApi, EventTimes, stop_one_by_one
from benchmarks.tracking.fleet import Fleet
from benchmarks.tracking.measuring import (
    Adoption,
    ScenarioServices,
    drain,
    outcome,
    part_since,
)
from benchmarks.tracking.results import LoadProfile, Scenario, ScenarioResult

STOPS: Final = 50
"""The number of recordings that commands stop while all the others end."""

STORM_TAIL_SECONDS: Final = 20.0
"""How long after a storm commands still stop recordings."""


async def all_ended(
    scenario: Scenario,
    profile: LoadProfile,
    services: ScenarioServices,
    api: EmulatedApi,
    received: EventTimes,
    workers: Fleet,
    adoption: Adoption,
) -> ScenarioResult:
    """End all recordings, and wait for their events as long as the profile says.

    Commands stop a few of them meanwhile.
    """
    to_stop = sorted(api.meetings)[:STOPS]
    for recording_id in to_stop:
        del api.meetings[recording_id]
    sent: dict[str, float] = {}
    seconds, stops_end = profile.mass_seconds, profile.mass_seconds + profile.mass_drain_seconds
    if scenario.storm_seconds is not None:
        seconds, stops_end = scenario.storm_seconds, scenario.storm_seconds + STORM_TAIL_SECONDS
    pause = stops_end / (STOPS + 1)
    since, cpu = time.time(), workers.usage().cpu
    stopping = asyncio.create_task(stop_one_by_one(services.node.amqp_url, to_stop, pause, sent))
    try:
        ended = set(await api.end_all(seconds))
        await drain(received, ended, profile.mass_drain_seconds)
        if scenario.storm_seconds is not None:
            await stopping
            await _stopped(api, sent)
    finally:
        stopping.cancel()
        await asyncio.wait([stopping])
    part = part_since(since, cpu, workers.usage(), ended)
    result = outcome(scenario, profile, api, received, part, adoption)
    request_log = api.request_log(adoption.counted_from)
    mass = delays.mass_ending(request_log, received, part, sent)
    return msgspec.structs.replace(result, mass=mass)


async def _stopped(api: EmulatedApi, sent: dict[str, float]) -> None:
    """Wait until the API got a stop of each recording; a few seconds at most."""
    for _ in range(50):
        if await api.answered("change_recording") >= len(sent):
            return
        await asyncio.sleep(0.1)
