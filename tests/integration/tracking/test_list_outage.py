"""Tracking while the API fails to list recordings but still returns single ones."""

import uuid

import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.tracking_bench import TrackingBench

LIST_FAILS = Fault(kind="refuse", operation="list_recordings", status=500)


async def recording(bench: TrackingBench, count: int) -> list[str]:
    """Start recordings that are RECORDING; returns their ids."""
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(count)]
    await bench.run_due(2)
    await bench.run_due(20)
    return ids


async def pause_all(bench: TrackingBench, ids: list[str]) -> None:
    """Pause all of them, each with a webhook."""
    for recording_id in ids:
        await bench.api.control_recording(recording_id, "pause")
        bench.sandbox.clock.advance(0.01)
        await bench.apply_webhook(recording_id, Status.PAUSED)
    bench.take_operations()


async def test_recordings_with_webhooks_are_read_one_by_one_when_lists_fail_for_a_minute(
    bench: TrackingBench,
) -> None:
    ids = await recording(bench, 20)
    bench.sandbox.faults.add(LIST_FAILS)
    await pause_all(bench, ids)
    for _ in range(180):
        await bench.run_due(1)
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"PAUSED"}
    assert bench.take_operations().count("get_recording") >= len(ids)


@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_changes_are_found_without_lists_and_without_webhooks(
    bench: TrackingBench, status: int
) -> None:
    ids = await recording(bench, 45)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", status=status))
    for recording_id in ids:
        await bench.api.control_recording(recording_id, "stop")
    for _ in range(240):
        await bench.run_due(1)
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"completed 3"}


async def test_reads_in_place_of_lists_stay_within_the_share_of_sweeps(
    bench: TrackingBench,
) -> None:
    await recording(bench, 100)
    bench.sandbox.faults.add(LIST_FAILS)
    for _ in range(100):
        await bench.run_due(1)
    bench.take_operations()
    for _ in range(300):
        await bench.run_due(1)
    assert 200 < bench.take_operations().count("get_recording") <= 2 * 300 + 20


async def test_reads_wait_for_a_list_that_fails_for_a_moment(bench: TrackingBench) -> None:
    ids = await recording(bench, 20)
    fault = bench.sandbox.faults.add(LIST_FAILS)
    await pause_all(bench, ids)
    for _ in range(40):
        await bench.run_due(1)
    assert bench.take_operations().count("list_recordings") > 1
    bench.sandbox.faults.clear(fault)
    for _ in range(20):
        await bench.run_due(1)
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"PAUSED"}
    assert "get_recording" not in bench.take_operations()


async def test_reads_wait_for_lists_again_once_a_list_has_succeeded(bench: TrackingBench) -> None:
    ids = await recording(bench, 20)
    fault = bench.sandbox.faults.add(LIST_FAILS)
    for _ in range(180):
        await bench.run_due(1)
    bench.sandbox.faults.clear(fault)
    for _ in range(60):
        await bench.run_due(1)
    await pause_all(bench, ids)
    for _ in range(20):
        await bench.run_due(1)
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"PAUSED"}
    assert "get_recording" not in bench.take_operations()
