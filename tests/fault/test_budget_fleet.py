"""Worker processes that share one API token never exceed its request budget together."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.run_record import SUCCEEDED

pytestmark = pytest.mark.slow

RATE: Final = "60/2"
REPLICAS: Final = 3
COMMANDS: Final = int(os.environ.get("FAULT_BUDGET_COMMANDS", "40"))
LOAD_TIMEOUT_SECONDS: Final = 60 + COMMANDS / 5


@pytest.fixture
def rate() -> str:
    """The API's limit, `requests/seconds`."""
    return RATE


@pytest.fixture
async def fleet(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path, rate: str
) -> AsyncIterator[FaultEnvironment]:
    """An environment whose API enforces its limit. Workers know the limit; none is started."""
    async with open_fault_environment(
        amqp_url, postgresql_url, tmp_path, prefix=names_prefix, seed=1, WORKER_API_BUDGET=rate
    ) as environment:
        environment.sandbox.behaviour.change(
            {"rate_limits": [rate], "real_rate_block_seconds": 300}
        )
        yield environment


async def started(environment: FaultEnvironment) -> list[KillableWorker]:
    workers = [environment.worker() for _ in range(REPLICAS)]
    for worker in workers:
        worker.start()
    await asyncio.gather(*(worker.ready() for worker in workers))
    return workers


async def send(environment: FaultEnvironment, first: int, last: int) -> None:
    for number in range(first, last):
        start = {"type": "start_track_recording", "id": f"start-{number}"}
        await environment.sender.send({**start, "meeting_id": str(uuid.uuid4())}, allowed=SUCCEEDED)


async def stop_all(environment: FaultEnvironment, first: int, last: int, seconds: float) -> None:
    for number in range(first, last):
        await environment.recorder.outcome_of(f"start-{number}", seconds=seconds)
        stop = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)


async def all_ended_well(
    environment: FaultEnvironment,
    recordings: int,
    first: int = 0,
    seconds: float = LOAD_TIMEOUT_SECONDS,
) -> None:
    """Stop the recordings from number `first` on. Then nothing is lost, and no limit was broken."""
    await stop_all(environment, first, recordings, seconds)
    found = await environment.settled(seconds=seconds)
    assert (found.violations, found.recordings) == ((), recordings)
    assert environment.sandbox.rate_limiter.breaches == 0


async def test_replicas_that_start_together_on_a_full_queue_stay_within_the_api_limit(
    fleet: FaultEnvironment,
) -> None:
    await send(fleet, 0, COMMANDS)
    await started(fleet)
    await all_ended_well(fleet, COMMANDS)


@pytest.mark.campaign
async def test_a_dead_replica_costs_the_others_only_the_quota_it_held(
    fleet: FaultEnvironment,
) -> None:
    workers = await started(fleet)
    await send(fleet, 0, COMMANDS // 2)
    workers[0].kill()
    await send(fleet, COMMANDS // 2, COMMANDS)
    workers[0].start()
    await all_ended_well(fleet, COMMANDS)


@pytest.mark.campaign
async def test_when_one_replica_is_throttled_all_replicas_wait(
    fleet: FaultEnvironment,
) -> None:
    pause, in_hand = 4.0, 2.0
    await started(fleet)
    await send(fleet, 0, 10)
    await stop_all(fleet, 0, 10, LOAD_TIMEOUT_SECONDS)
    await fleet.recorder.outcome_of("stop-9")
    fault = Fault(kind="refuse", status=429, envelope="cloudflare", retry_after=pause, count=1)
    fleet.sandbox.faults.add(fault)
    await eventually(
        lambda: any(request.status == 429 for request in fleet.sandbox.request_log.requests)
    )
    await send(fleet, 10, COMMANDS // 2)
    await all_ended_well(fleet, COMMANDS // 2, first=10)
    at = next(request.at for request in fleet.sandbox.request_log.requests if request.status == 429)
    during = [
        request.at - at
        for request in fleet.sandbox.request_log.requests
        if at < request.at < at + pause
    ]
    assert all(seconds < in_hand for seconds in during)


@pytest.mark.campaign
@pytest.mark.timeout(60 + 4 * LOAD_TIMEOUT_SECONDS)
@pytest.mark.parametrize("rate", ["200/20"])
async def test_workers_leave_room_for_another_program_that_uses_the_same_token(
    fleet: FaultEnvironment,
) -> None:
    async with asyncio.TaskGroup() as group:
        spending = group.create_task(spend_five_a_second(fleet))
        requests = fleet.sandbox.request_log.requests
        await eventually(lambda: len(requests) >= 5 * 20, seconds=60)
        await started(fleet)
        await send(fleet, 0, 1)
        await stop_all(fleet, 0, 1, LOAD_TIMEOUT_SECONDS)
        await fleet.recorder.outcome_of("stop-0")  # a header has shown the other program
        await send(fleet, 1, COMMANDS)
        await all_ended_well(fleet, COMMANDS, first=1, seconds=4 * LOAD_TIMEOUT_SECONDS)
        spending.cancel()


async def spend_five_a_second(environment: FaultEnvironment) -> None:
    """Half of the limit, evenly, independently of the workers."""
    address = f"{environment.sandbox.base_url}/accounts/account/realtime/kit/app/webhooks"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer token"}) as session:
        while True:
            async with session.get(address) as answer:
                await answer.read()
            await asyncio.sleep(0.2)
