"""Refusals of the API: which recordings they affect, and which continue."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import START, CommandBench, open_command_bench
from worker.broker.messages import Ack, Retry
from worker.domain.errors import Throttled, Unavailable
from worker.realtimekit.circuit_breaker import FAILURE_THRESHOLD, MAX_OPEN_SECONDS

STATUSES = [400, 403, 409, 422, 429, 500, 503]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path, breaks=True) as opened:
        opened.sandbox.behaviour.change({"invoked_seconds": 0.0})
        yield opened


def stop(start_id: str) -> dict[str, Any]:
    return {"type": "stop_recording", "id": f"stop-{start_id}", "start_id": start_id}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_start_beyond_the_limit_of_recordings_waits_and_delays_no_other(
    bench: CommandBench, status: int
) -> None:
    await bench.send(bench.start("first"))
    bench.sandbox.behaviour.change({"max_recordings": 1, "max_recordings_status": status})
    for number in range(FAILURE_THRESHOLD * 2):
        command = bench.start(f"waits-{number}", meeting_id=str(uuid.uuid4()))
        settlement = await bench.send(command)
        assert isinstance(settlement, Retry)
        assert (settlement.code, bench.breaker.is_open) == ("capacity", False)
    assert await bench.send(stop("first")) == Ack()
    assert (await bench.outcome("stop-first"))["type"] == "command.succeeded.v1"
    assert await bench.send(command) == Ack()
    assert (await bench.outcome(command["id"]))["type"] == "command.succeeded.v1"


@pytest.mark.parametrize(
    ("status", "envelope", "code"),
    [
        (403, "realtimekit", "forbidden"),
        (429, "realtimekit", "capacity"),
        (403, "html", "forbidden"),
    ],
)
async def test_a_refusal_of_one_request_delays_no_other_until_its_age(
    bench: CommandBench, status: int, envelope: Any, code: str
) -> None:
    refused = Fault(
        kind="refuse", operation=START, meeting_id=bench.meeting, status=status, envelope=envelope
    )
    bench.sandbox.faults.add(refused)
    for _ in range(FAILURE_THRESHOLD * 2):
        assert isinstance(await bench.send(bench.start()), Retry)
    elsewhere = bench.start("elsewhere", meeting_id=str(uuid.uuid4()))
    assert await bench.send(elsewhere) == Ack()
    bench.ahead = 3601.0
    await bench.send(bench.start())
    assert (await bench.outcome())["data"]["last_error"]["code"] == code


@pytest.mark.parametrize(("status", "code"), [(401, None), (403, None), (429, None), (403, 971)])
async def test_a_refusal_of_the_gateway_delays_all_starts(
    bench: CommandBench, status: int, code: int | None
) -> None:
    fault = Fault(kind="refuse", status=status, envelope="cloudflare", code=code)
    bench.sandbox.faults.add(fault)
    await bench.send(bench.start())
    assert bench.breaker.is_open


async def test_a_repeat_leaves_the_probe_of_an_open_circuit_to_the_next_command(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("first"))
    bench.breaker.record(Throttled("throttled", "no"))
    bench.ahead += MAX_OPEN_SECONDS
    assert await bench.send(bench.start("first")) == Ack()
    assert bench.breaker.is_open, "the repeat made no request"
    assert bench.breaker.allow_request()
    assert await bench.send(bench.start("second", meeting_id=str(uuid.uuid4()))) == Ack()
    assert not bench.breaker.is_open


async def test_a_repeat_from_before_the_circuit_opened_does_not_return_the_probe_of_another_command(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("first"))
    repeat = asyncio.create_task(bench.send(bench.start("first")))
    await asyncio.sleep(0)  # it is claimed now
    bench.breaker.record(Throttled("throttled", "no"))
    bench.ahead += MAX_OPEN_SECONDS
    assert await bench.breaker.acquire_probe(0.0)
    assert await repeat == Ack()
    assert not bench.breaker.allow_request()


async def test_a_stop_goes_first_through_a_circuit_that_failing_starts_opened(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("first"))
    fails = Unavailable("server_error", "no")
    while bench.breaker.allow_request():
        bench.breaker.record(fails)
    for _ in range(6):  # the longest pause before a probe
        bench.ahead += MAX_OPEN_SECONDS
        await bench.breaker.acquire_probe(1.0)
        bench.breaker.record(fails)
    assert await bench.send(stop("first")) == Ack()
    assert (await bench.outcome("stop-first"))["type"] == "command.succeeded.v1"
    assert not bench.breaker.is_open, "and its answer closed the circuit"
