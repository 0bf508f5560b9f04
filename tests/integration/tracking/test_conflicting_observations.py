"""Answers, webhooks and time-outs that contradict or overtake each other."""

from datetime import timedelta

import msgspec

from recording_schemas import Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench
from worker.domain.recording import Observation
from worker.domain.timeout_observations import end_observation, stalled_error


async def recording(bench: TrackingBench) -> str:
    """Start a recording that is RECORDING; returns its id."""
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.sandbox.clock.advance(5)
    bench.take_operations()
    return recording_id


async def time_out_observation(bench: TrackingBench, recording_id: str) -> Observation:
    """The observation of a time-out of the recording as it is stored now."""
    known = await bench.stored(recording_id)
    return end_observation(
        known, stalled_error(known, TIMEOUTS, bench.now()), asked_at=bench.now(), now=bench.now()
    )


async def test_a_recording_that_is_uploaded_only_by_webhook_completes_in_time(
    bench: TrackingBench,
) -> None:
    recording_id = await recording(bench)
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    for _ in range(300):
        bench.sandbox.clock.advance(1)
        await bench.refresher.read_due()
    assert await bench.published(recording_id) == [
        "INVOKED",
        "RECORDING",
        "UPLOADED",
        "completed 0",
    ]
    assert len(bench.take_operations()) < 20


async def test_a_time_out_that_a_webhook_overtook_completes_nothing(
    bench: TrackingBench,
) -> None:
    recording_id = await recording(bench)
    conclusion = await time_out_observation(bench, recording_id)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(10)
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    await bench.store.apply([msgspec.structs.replace(conclusion, observed_at=bench.now())])
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[2:] == [
        "UPLOADED",
        "file",
        "file",
        "file",
        "completed 3",
    ]


async def test_a_late_end_does_not_wait_for_the_next_check(
    bench: TrackingBench,
) -> None:
    recording_id = await recording(bench)
    in_hours = bench.now() + timedelta(hours=7)
    conclusion = msgspec.structs.replace(
        await time_out_observation(bench, recording_id), read_again_at=in_hours
    )
    await bench.store.apply([conclusion])
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(10)
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[-4:] == ["file", "file", "file", "completed 3"]


async def test_a_second_webhook_during_a_read_is_not_settled_by_its_answer(
    bench: TrackingBench,
) -> None:
    recording_id = await recording(bench)
    await bench.apply_webhook(recording_id, Status.PAUSED)
    bench.sandbox.clock.advance(1)
    asked_at, snapshot = bench.now(), await bench.api.get_recording(recording_id)
    bench.sandbox.clock.advance(1)
    await bench.api.control_recording(recording_id, "pause")
    await bench.apply_webhook(recording_id, Status.PAUSED)
    await bench.observe(snapshot, "sweep", asked_at=asked_at)
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[-1] == "PAUSED"


async def test_a_repeated_webhook_during_the_last_read_causes_no_further_read(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    asked_at, snapshot = bench.now(), await bench.api.get_recording(recording_id)
    assert snapshot.status is Status.UPLOADED
    bench.sandbox.clock.advance(1)
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    bench.sandbox.clock.advance(1)
    await bench.observe(snapshot, "sweep", asked_at=asked_at, files=(), files_final=True)
    bench.take_operations()
    await bench.refresher.read_due()
    assert bench.take_operations() == []
