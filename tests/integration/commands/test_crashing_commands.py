"""Commands that kill the process."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.command_bench import START, CommandBench
from tests.store_requests import claim_request
from worker.broker.messages import DELIVERY_COUNT_HEADER, Ack, Dead, Retry
from worker.domain.errors import Throttled


async def crash_with_claim(bench: CommandBench, times: int, *, alone: bool) -> None:
    """This many processes claim the start and die."""
    for number in range(times):
        claim = claim_request(
            "start-1",
            START,
            owner=f"process-{number}",
            now=time.time() - 100 + number,
            lease_seconds=0.0,
            slot=f"{bench.meeting}/track",
            alone=alone,
        )
        await bench.store.claim(claim)


async def test_a_command_that_crashes_the_process_repeatedly_is_dead_lettered(
    bench: CommandBench,
) -> None:
    await crash_with_claim(bench, 6, alone=True)
    settlement = await bench.send(bench.start())
    assert isinstance(settlement, Dead)
    assert settlement.code == "crashed"
    data = (await bench.outcome())["data"]
    assert (data["last_error"]["code"], data["attempts"]) == ("crashed", 6)
    assert bench.requests(START) == []


async def test_a_start_that_crashed_the_process_adopts_the_recording_it_may_have_begun(
    bench: CommandBench,
) -> None:
    await crash_with_claim(bench, 5, alone=True)
    begun = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["data"]["recording_ids"] == [begun.recording_id]


async def test_a_command_in_progress_while_others_crash_is_executed(bench: CommandBench) -> None:
    await crash_with_claim(bench, 20, alone=False)
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"
    assert len(bench.started()) == 1


async def open_the_circuit(bench: CommandBench) -> str:
    bench.breaker.record(Throttled("throttled", "a pause", retry_after=1000.0))
    bench.breaker.stop_waiting()
    return "api_circuit_open"


async def claim_elsewhere(bench: CommandBench, **claim: Any) -> str:
    request = claim_request("start-1", START, owner="another", now=bench.store.now(), **claim)
    await bench.store.claim(request)
    return "busy"


async def take_the_id(bench: CommandBench) -> str:
    await claim_elsewhere(bench, digest="another body")
    return "id_in_use"


@pytest.mark.parametrize("hinder", [open_the_circuit, claim_elsewhere, take_the_id])
async def test_a_delivery_that_is_not_attempted_keeps_the_number_of_its_lost_consumers(
    bench: CommandBench, hinder: Callable[[CommandBench], Awaitable[str]]
) -> None:
    code = await hinder(bench)
    settlement = await bench.send(bench.start(), headers={DELIVERY_COUNT_HEADER: 3})
    assert isinstance(settlement, Retry)
    assert (settlement.code, settlement.redelivery_count) == (code, 3)
