"""One scenario from its beginning to its figures."""

import asyncio
import time
from typing import Final

from benchmarks.tracking.environment import EmulatedApi, EventTimes, emulated_api, listening
from benchmarks.tracking.fleet import UNLIMITED, Fleet, fleet
from benchmarks.tracking.mass import all_ended
from benchmarks.tracking.measuring import (
    FILL_PER_SECOND,
    Adoption,
    ScenarioServices,
    await_status,
    drain,
    outcome,
    steady,
)
from benchmarks.tracking.polled import polled
from benchmarks.tracking.results import LoadProfile, Scenario, ScenarioResult
from recording_sandbox.waiting import eventually

FAST_FILL_PER_SECOND: Final = 2_000.0
"""The rate of starts: as fast as the API can. Webhooks do not report them."""

ADOPTED_WITHIN: Final = 900.0
"""The seconds within which every live recording must be known, or the scenario has failed."""

SWEEPING_WITHIN: Final = 120.0
"""The seconds within which a leader must sweep again after all workers were killed."""


async def play(
    scenario: Scenario, profile: LoadProfile, services: ScenarioServices
) -> ScenarioResult:
    """Fill the API, let recordings end, and measure the delays of the events."""
    limited = not scenario.is_prepared
    async with emulated_api(services.directory, profile, limited=limited) as api:
        if scenario.replicas:
            return await _followed(scenario, profile, services, api)
        return await polled(scenario, profile, services, api)


async def _followed(
    scenario: Scenario, profile: LoadProfile, services: ScenarioServices, api: EmulatedApi
) -> ScenarioResult:
    amqp_url, directory = services.node.amqp_url, services.directory
    database_url = await asyncio.to_thread(services.database.new_database)
    async with fleet(scenario, api, amqp_url, database_url, directory) as workers:
        usual = workers.webhook_settings if scenario.webhooks else {}
        await workers.start(UNLIMITED if scenario.is_prepared else usual)
        async with listening(amqp_url) as received:
            adoption = await _adopted(scenario, services, api, received)
            if scenario.is_prepared:
                restarted_at = time.time()
                ready = await _restarted(scenario, api, workers)
                adoption = Adoption(
                    seconds=adoption.seconds, counted_from=restarted_at, ready=ready
                )
                services.say(f"{scenario.label}: killed, and ready again after {ready:.1f} s")
            if scenario.all_end:
                return await all_ended(
                    scenario, profile, services, api, received, workers, adoption
                )
            part = await steady(profile, api, workers.usage)
            services.say(f"{scenario.label}: {len(part.ended)} have ended")
            await drain(received, part.ended, profile.longest_drain(scenario))
            burst = await _burst(scenario, profile, services, api, received)
            return outcome(scenario, profile, api, received, part, adoption, burst=burst)


async def _adopted(
    scenario: Scenario, services: ScenarioServices, api: EmulatedApi, received: EventTimes
) -> Adoption:
    """Wait until every recording is live and followed."""
    begun = time.monotonic()
    rate = FAST_FILL_PER_SECOND if scenario.is_prepared else FILL_PER_SECOND
    await api.fill(scenario.live, rate, scenario.kind)
    services.say(f"{scenario.label}: {scenario.live} are live")
    await await_status(received, set(api.meetings), "RECORDING", ADOPTED_WITHIN)
    seconds = time.monotonic() - begun
    services.say(f"{scenario.label}: all are followed after {seconds:.0f} s")
    return Adoption(seconds=seconds)


async def _restarted(scenario: Scenario, api: EmulatedApi, workers: Fleet) -> float:
    """Kill all workers, and start them again with the usual budget before the usual limits.

    Returns the seconds until each was ready. A leader follows recordings again.
    """
    await workers.kill()
    await api.limit()
    lists = await api.answered("list_recordings")
    ready = await workers.start(workers.webhook_settings if scenario.webhooks else {})

    async def leads() -> bool:
        registered = not scenario.webhooks or await api.answered("add_webhook") > 0
        return registered and await api.answered("list_recordings") > lists

    await eventually(leads, seconds=SWEEPING_WITHIN, description="a sweep after the kill")
    return ready


async def _burst(
    scenario: Scenario,
    profile: LoadProfile,
    services: ScenarioServices,
    api: EmulatedApi,
    received: EventTimes,
) -> set[str]:
    """With webhooks, end many recordings at once; returns their ids."""
    if not scenario.webhooks:
        return set()
    ends = profile.ends_in_burst(scenario)
    services.say(f"{scenario.label}: {2 * ends:g} changes/s")
    burst = set(await api.end_some(ends, profile.burst_seconds))
    await asyncio.sleep(profile.upload_seconds)
    await await_status(received, burst, "UPLOADED", profile.drain_seconds, must=False)
    return burst
