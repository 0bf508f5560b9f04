"""When the API names the time of the next request (Retry-After), no request is sent earlier."""

import asyncio
from typing import Final

from recording_sandbox.model.faults import Fault
from tests.fault.fault_environment import FaultEnvironment
from tests.fault.killable_worker import KillableWorker
from tests.fault.test_api_storms import (
    BLOCK_SECONDS,
    all_are_recorded_and_stopped,
    blocks,
    running,
    send_starts,
    throttle,
)
from worker.realtimekit.circuit_breaker import FAILURE_THRESHOLD

FEW: Final = 8


async def test_an_api_that_answers_429_gets_no_request_before_the_time_it_named(
    environment: FaultEnvironment,
) -> None:
    """The next probe and the request budget each respect the time. Without either, the worker would
    repeat the request after one second and again after two."""
    alone = await running_alone(environment)
    throttle(environment, "3/60")
    await send_starts(environment, range(1, FEW))
    limiter = environment.sandbox.rate_limiter
    await environment.sandbox.request_log.until(lambda _: limiter.breaches > 0)
    environment.sandbox.behaviour.change({"real_rate_block_seconds": 1.0})  # from the next block on
    await environment.sandbox.request_log.until(lambda _: limiter.breaches > 1)
    assert [len(block) for block in blocks(environment)] == [1, 1]
    environment.sandbox.behaviour.change({"rate_limits": []})
    await asyncio.to_thread(alone.stop)
    await running(environment)
    await all_are_recorded_and_stopped(environment, range(FEW))


async def test_an_api_that_answers_503_gets_no_request_before_the_time_it_named(
    environment: FaultEnvironment,
) -> None:
    alone = await running_alone(environment)
    away = Fault(kind="refuse", status=503, retry_after=BLOCK_SECONDS, count=FAILURE_THRESHOLD)
    environment.sandbox.faults.add(away)
    requests = environment.sandbox.request_log.requests
    before = len(requests)
    await send_starts(environment, range(1, FEW))
    await environment.sandbox.request_log.until(
        lambda _: len(requests) > before + FAILURE_THRESHOLD
    )
    *refused, probe = list(requests)[before : before + FAILURE_THRESHOLD + 1]
    assert {request.status for request in refused} == {503}
    pause = probe.at - refused[-1].at
    assert pause >= BLOCK_SECONDS, "a worker that is slow asks later still"
    await asyncio.to_thread(alone.stop)
    await running(environment)
    await all_are_recorded_and_stopped(environment, range(FEW))


async def running_alone(environment: FaultEnvironment) -> KillableWorker:
    """A worker with one request in flight at a time, one command at a time and no further
    sweeps."""
    first = await running(environment)
    await send_starts(environment, range(1))
    await environment.recorder.outcome_of("start-0")
    await asyncio.to_thread(first.stop)
    before = sweeps(environment)  # the next worker sweeps at once, because there is a recording
    alone = await running(environment, WORKER_PREFETCH="1", WORKER_SWEEP_INTERVAL_SECONDS="3600")
    await environment.sandbox.request_log.until(lambda _: sweeps(environment) > before)
    return alone


def sweeps(environment: FaultEnvironment) -> int:
    return sum(
        request.operation == "list_recordings"
        for request in environment.sandbox.request_log.requests
    )
