"""When the next sweep comes: what webhooks, the budget and the lead make of it."""

from collections.abc import AsyncIterator

import pytest

from recording_schemas import Status
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.domain.recording import Observation
from worker.store.observations import WebhookObservation


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


async def told_by_webhook(bench: TrackingBench, recording_id: str) -> None:
    """The recording as it is now, told as webhooks tell it."""
    seen = Observation(
        snapshot=await bench.api.get_recording(recording_id),
        observed_by="webhook",
        asked_at=bench.now(),
        observed_at=bench.now(),
    )
    await bench.store.apply_webhook(WebhookObservation(observation=seen))
    bench.asked()


async def sweeps(bench: TrackingBench, seconds: int) -> int:
    """How many there are in that time."""
    bench.asked()
    for _ in range(seconds):
        await bench.follow(1)
    return bench.asked().count("list_recordings")


async def test_without_webhooks_sweeps_keep_their_interval(bench: TrackingBench) -> None:
    await bench.start()
    await bench.follow(2)
    assert await sweeps(bench, 100) == 10


async def test_while_webhooks_tell_everything_sweeps_grow_rare(bench: TrackingBench) -> None:
    one = await bench.start()
    await bench.follow(2)
    for _ in range(30):
        await told_by_webhook(bench, one)
        await bench.follow(15)
    await told_by_webhook(bench, one)
    assert await sweeps(bench, 115) <= 1
    assert bench.interval.interval == 120


async def test_a_change_that_no_webhook_told_makes_sweeps_frequent_again(
    bench: TrackingBench,
) -> None:
    one, other = await bench.start(), await bench.start()
    await bench.follow(2)
    for _ in range(30):
        await told_by_webhook(bench, one)
        await bench.follow(15)
    await bench.api.control_recording(other, "stop")
    intervals = set()
    for _ in range(50):
        await told_by_webhook(bench, one)
        await bench.follow(3)
        intervals.add(bench.interval.interval)
    assert (await bench.known(other)).status is Status.UPLOADED
    assert min(intervals) <= 20


async def test_a_change_that_a_webhook_tells_a_moment_after_the_sweep_was_not_missed(
    bench: TrackingBench,
) -> None:
    one, other = await bench.start(), await bench.start()
    await bench.follow(0.1)
    for _ in range(30):
        await told_by_webhook(bench, one)
        await bench.follow(15)
    await told_by_webhook(bench, other)
    assert bench.interval.interval == 120
    await bench.api.control_recording(other, "stop")
    bench.sandbox.clock.advance(0.5)
    await bench.sweep.once()
    await told_by_webhook(bench, other)
    await bench.follow(15)
    assert bench.interval.interval == 120


async def test_a_new_leader_begins_with_a_sweep_and_others_do_not_sweep(
    bench: TrackingBench,
) -> None:
    await bench.start()
    await bench.follow(2)
    bench.restart()
    bench.asked()
    await bench.sweep.run_if_due(lambda: True)
    assert bench.asked() == ["list_recordings"]


async def test_a_sweep_ends_when_the_lead_is_lost_and_believes_nothing_to_be_gone(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 2})
    for _ in range(8):
        await bench.start()
    bench.sandbox.clock.advance(10)
    bench.asked()
    await bench.sweep.once(lambda: False)
    await bench.refresher.once()
    assert len(bench.asked()) <= 2
