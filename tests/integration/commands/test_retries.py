"""Which failures end a command, which are retried, and when."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import RETRY_POLICY, START, CommandBench
from tests.unit.api_client import answered_client
from worker.broker.messages import Ack, Retry
from worker.domain.errors import Throttled


async def test_a_command_that_the_api_refuses_is_rejected_with_the_message_of_the_api(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("first", type="start_recording"))
    assert await bench.send(bench.start("second", type="start_recording")) == Ack()
    data = (await bench.outcome("second"))["data"]
    assert (data["code"], data["http_status"]) == ("already_recording", 409)
    assert data["message"]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refused_command_is_not_retried(bench: CommandBench, status: int) -> None:
    bench.sandbox.faults.add(
        Fault(kind="refuse", operation=START, status=status, message="no such luck")
    )
    assert await bench.send(bench.start()) == Ack()
    data = (await bench.outcome())["data"]
    assert data["http_status"] == status
    assert "no such luck" in data["message"]


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_command_is_retried_after_a_failure_that_is_not_its_fault(
    bench: CommandBench, status: int
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=status, count=2))
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.outcomes() == []
    bench.sandbox.faults.clear()
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_the_delay_is_at_least_the_retry_after_of_the_api(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=429, retry_after=90))
    settlement = await bench.send(bench.start())
    assert isinstance(settlement, Retry)
    assert settlement.delay_seconds >= 90


async def test_delays_grow_with_the_attempts_and_never_exceed_the_deadline(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    deadline = datetime.now(UTC) + timedelta(seconds=100)
    command = bench.start(deadline=deadline.isoformat())
    delays = []
    for _ in range(3):
        settlement = await bench.send(command)
        assert isinstance(settlement, Retry)
        delays.append(settlement.delay_seconds)
    assert delays[:2] == [5.0, 30.0]
    assert delays[2] == 30.0, "the third step is longer than the command may live"


async def test_during_an_outage_a_command_waits_and_sends_no_request(bench: CommandBench) -> None:
    bench.breaker.record(Throttled("throttled", "slow down", retry_after=3600))
    waiting = asyncio.create_task(bench.send(bench.start()))
    deadline = datetime.now(UTC) - timedelta(seconds=1)
    await bench.send(bench.start("late", deadline=deadline.isoformat()))
    assert (await bench.outcome("late"))["type"] == "command.expired.v1"
    assert not waiting.done()
    bench.breaker.record(None)
    assert await waiting == Ack()
    assert bench.requests(START)[0].status == 200
    assert len(bench.requests(START)) == 1


async def test_an_attempt_is_cancelled_before_another_replica_may_take_the_command(
    bench: CommandBench,
) -> None:
    async def never_answer(_request: httpx.Request) -> httpx.Response:
        answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        return await answer

    policy = msgspec.structs.replace(RETRY_POLICY, lease=0.25)
    async with (
        aclosing(answered_client(never_answer, timeout=60.0)) as api,
        asyncio.timeout(10),
    ):
        bench.handler = bench.new_handler(api, policy=policy)
        settlement = await bench.send(bench.start())
    assert isinstance(settlement, Retry)
    assert settlement.code == "timeout"
    assert settlement.called_at is not None, "the API may have executed the call"
