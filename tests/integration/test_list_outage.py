"""What is followed while the API cannot list recordings and still tells of each by itself."""

import uuid
from collections.abc import AsyncIterator

import pytest

from recording_schemas import Status
from sandbox.model.faults import Fault
from tests.integration.tracking_bench import TrackingBench, open_bench

LIST_FAILS = Fault(kind="refuse", operation="list_recordings", status=500)


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


async def recording(bench: TrackingBench, count: int) -> list[str]:
    """So many recordings that are known to be recording."""
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(count)]
    await bench.follow(2)
    await bench.follow(20)
    return ids


async def pause_all(bench: TrackingBench, ids: list[str]) -> None:
    """All of them, and a webhook tells of each."""
    for one in ids:
        await bench.api.control_recording(one, "pause")
        bench.sandbox.clock.advance(0.01)
        await bench.webhook(one, Status.PAUSED)
    bench.asked()


async def test_what_webhooks_tell_of_is_read_one_by_one_when_the_list_fails_for_long(
    bench: TrackingBench,
) -> None:
    ids = await recording(bench, 20)
    bench.sandbox.faults.add(LIST_FAILS)
    await pause_all(bench, ids)
    for _ in range(180):
        await bench.follow(1)
    assert {(await bench.told(one))[-1] for one in ids} == {"PAUSED"}
    assert bench.asked().count("get_recording") == len(ids)


async def test_a_list_that_fails_for_a_moment_is_waited_for(bench: TrackingBench) -> None:
    ids = await recording(bench, 20)
    fault = bench.sandbox.faults.add(LIST_FAILS)
    await pause_all(bench, ids)
    for _ in range(40):
        await bench.follow(1)
    assert bench.asked().count("list_recordings") > 1
    bench.sandbox.faults.clear(fault)
    for _ in range(20):
        await bench.follow(1)
    assert {(await bench.told(one))[-1] for one in ids} == {"PAUSED"}
    assert "get_recording" not in bench.asked()


async def test_a_list_that_can_be_had_again_is_waited_for_again(bench: TrackingBench) -> None:
    ids = await recording(bench, 20)
    fault = bench.sandbox.faults.add(LIST_FAILS)
    for _ in range(180):
        await bench.follow(1)
    bench.sandbox.faults.clear(fault)
    for _ in range(60):
        await bench.follow(1)
    await pause_all(bench, ids)
    for _ in range(20):
        await bench.follow(1)
    assert {(await bench.told(one))[-1] for one in ids} == {"PAUSED"}
    assert "get_recording" not in bench.asked()
