"""Webhooks, the budget and leadership decide when the next sweep begins."""

from recording_schemas import Status
from tests.integration.tracking_bench import TrackingBench
from tests.store_requests import observation_of
from worker.store.observations import WebhookObservation


async def report_by_webhook(bench: TrackingBench, recording_id: str) -> None:
    """Apply a webhook with the recording's current state."""
    snapshot = await bench.api.get_recording(recording_id)
    observation = observation_of(snapshot, bench.now(), "webhook")
    await bench.store.apply_webhook(WebhookObservation(observation=observation))
    bench.take_operations()


async def sweeps(bench: TrackingBench, seconds: int) -> int:
    """The number of sweeps that begin within this many seconds."""
    bench.take_operations()
    for _ in range(seconds):
        await bench.run_due(1)
    return bench.take_operations().count("list_recordings")


async def test_without_webhooks_sweeps_keep_their_interval(bench: TrackingBench) -> None:
    await bench.start()
    await bench.run_due(2)
    assert await sweeps(bench, 100) == 10


async def test_sweeps_become_less_frequent_while_webhooks_report_every_change(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    for _ in range(30):
        await report_by_webhook(bench, recording_id)
        await bench.run_due(15)
    await report_by_webhook(bench, recording_id)
    assert await sweeps(bench, 115) <= 1
    assert bench.interval.interval == 120


async def test_a_change_without_a_webhook_makes_sweeps_frequent_again(
    bench: TrackingBench,
) -> None:
    recording_id, other = await bench.start(), await bench.start()
    await bench.run_due(2)
    for _ in range(30):
        await report_by_webhook(bench, recording_id)
        await bench.run_due(15)
    await bench.api.control_recording(other, "stop")
    intervals = set()
    for _ in range(50):
        await report_by_webhook(bench, recording_id)
        await bench.run_due(3)
        intervals.add(bench.interval.interval)
    assert (await bench.stored(other)).status is Status.UPLOADED
    assert min(intervals) <= 20


async def test_a_change_reported_by_webhook_just_after_the_sweep_is_not_a_miss(
    bench: TrackingBench,
) -> None:
    recording_id, other = await bench.start(), await bench.start()
    await bench.run_due(0.1)
    for _ in range(30):
        await report_by_webhook(bench, recording_id)
        await bench.run_due(15)
    await report_by_webhook(bench, other)
    assert bench.interval.interval == 120
    await bench.api.control_recording(other, "stop")
    bench.sandbox.clock.advance(0.5)
    await bench.sweep.sweep()
    await report_by_webhook(bench, other)
    await bench.run_due(15)
    assert bench.interval.interval == 120


async def test_a_new_leader_begins_with_a_sweep_and_other_replicas_do_not_sweep(
    bench: TrackingBench,
) -> None:
    await bench.start()
    await bench.run_due(2)
    bench.restart()
    bench.take_operations()
    await bench.sweep.sweep_if_due(lambda: True)
    assert bench.take_operations() == ["list_recordings"]


async def test_a_sweep_that_loses_the_lead_ends_and_counts_nothing_as_absent(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 2})
    for _ in range(8):
        await bench.start()
    bench.sandbox.clock.advance(10)
    bench.take_operations()
    await bench.sweep.sweep(lambda: False)
    await bench.refresher.read_due()
    assert len(bench.take_operations()) <= 2
