"""Every recording ends within a configured time, whatever the API answers."""

from datetime import timedelta
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import end_observation, stalled_error
from worker.realtimekit.models import RecordingPage
from worker.tracking.ended_list import EndedList
from worker.tracking.shown_files import ShownFiles

LONGEST = TIMEOUTS.recording_timeout + TIMEOUTS.uploading_timeout + TIMEOUTS.vanished_after
"""Seconds within which every start has ended."""

STEPS = (1, 5, 30, 120, 600, 3600)
"""Seconds between sweeps; the last value repeats."""


async def until_completed(bench: TrackingBench, recording_id: str) -> float:
    """Sweep until the recording is completed; returns the seconds that took."""
    passed = 0.0
    for number in range(80):
        if any(event.startswith("completed") for event in await bench.published(recording_id)):
            return passed
        step = STEPS[min(number, len(STEPS) - 1)]
        await bench.run_due(step)
        passed += step
    raise AssertionError(f"not ended after {passed} s: {await bench.published(recording_id)}")


async def last_status(bench: TrackingBench, recording_id: str) -> str:
    return [event for event in await bench.published(recording_id) if event in Status.__members__][
        -1
    ]


async def errors(bench: TrackingBench, recording_id: str) -> list[tuple[str, str]]:
    changes = await bench.event_data(recording_id, "recording.status_changed.v1")
    return [
        (change["error"]["code"], change["error"]["message"])
        for change in changes
        if change["error"]
    ]


@pytest.mark.parametrize(
    ("fault", "within", "last"),
    [
        (Fault(kind="stuck_invoked"), TIMEOUTS.invoked_timeout, "ERRORED"),
        (Fault(kind="fails_to_start"), 60, "ERRORED"),
        (Fault(kind="vanish", seconds=3), TIMEOUTS.vanished_after + 120, "ERRORED"),
        (Fault(kind="no_files"), TIMEOUTS.files_wait, "UPLOADED"),
        (Fault(kind="fails_to_upload"), 60, "ERRORED"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_every_recording_ends_in_time(
    bench: TrackingBench, fault: Fault, within: float, last: str
) -> None:
    bench.sandbox.faults.add(fault)
    recording_id = await bench.start()
    if fault.kind in {"no_files", "fails_to_upload"}:
        bench.sandbox.clock.advance(5)
        await bench.api.control_recording(recording_id, "stop")
    assert await until_completed(bench, recording_id) <= within + STEPS[-1]
    assert await last_status(bench, recording_id) == last


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        (Fault(kind="refuse", operation="get_recording", status=500), "ERRORED"),
        (Fault(kind="refuse", operation="list_recordings", status=500), "UPLOADED"),
        (Fault(kind="refuse", operation="change_recording", status=500), "ERRORED"),
        (Fault(kind="refuse", status=500), "ERRORED"),
        (Fault(kind="refuse", status=401), "ERRORED"),
        (Fault(kind="reset"), "ERRORED"),
    ],
    ids=lambda value: f"{value.kind} {value.operation}" if isinstance(value, Fault) else "",
)
async def test_every_start_ends_in_time_with_every_answer_of_the_api(
    bench: TrackingBench, fault: Fault, last: str
) -> None:
    recording_id = await bench.start()
    bench.sandbox.faults.add(fault)
    assert await until_completed(bench, recording_id) <= LONGEST + STEPS[-1]
    assert await last_status(bench, recording_id) == last


async def test_a_recording_ends_with_its_session(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    await bench.run_due(5)
    bench.sandbox.meetings.end_session(bench.meeting)
    assert await until_completed(bench, recording_id) <= 60
    published = await bench.published(recording_id)
    assert published[:2] == ["INVOKED", "RECORDING"]
    assert published[-5:] == ["UPLOADED", "file", "file", "file", "completed 3"]


async def test_a_recording_that_never_stops_is_stopped_after_the_time_out(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.run_due(TIMEOUTS.recording_timeout - 10)
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]
    await bench.run_due(20)
    await bench.run_due(20)
    assert (await bench.published(recording_id))[2:] == [
        "UPLOADING",
        "UPLOADED",
        *["file"] * 3,
        "completed 3",
    ]


async def test_switching_between_recording_and_paused_does_not_prevent_the_time_out(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    for action in ("pause", "resume") * 2:
        await bench.run_due(TIMEOUTS.recording_timeout / 5)
        await bench.api.control_recording(recording_id, action)
    await bench.run_due(TIMEOUTS.recording_timeout / 4)
    for _ in range(2):
        await bench.run_due(20)
    assert (await bench.published(recording_id))[-1] == "completed 3"


async def test_a_recording_of_others_times_out_but_is_not_stopped(bench: TrackingBench) -> None:
    snapshot = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    await bench.observe(snapshot, "command")
    await bench.run_due(2)
    await bench.run_due(TIMEOUTS.recording_timeout)
    assert await errors(bench, snapshot.recording_id) == [
        ("stalled", "still RECORDING after 90000 s")
    ]
    assert "change_recording" not in bench.take_operations()


async def time_out_uploading(bench: TrackingBench) -> str:
    """Record and stop. The worker then waits in vain for the upload, which ends 1,000 s later."""
    bench.sandbox.behaviour.change({"uploading_seconds": TIMEOUTS.uploading_timeout + 1000})
    recording_id = await bench.start()
    await bench.run_due(10)
    await bench.api.control_recording(recording_id, "stop")
    await bench.run_due(10)
    await bench.run_due(TIMEOUTS.uploading_timeout)
    return recording_id


async def test_an_endless_upload_times_out_and_is_tracked_again_when_it_finishes(
    bench: TrackingBench,
) -> None:
    recording_id = await time_out_uploading(bench)
    assert await errors(bench, recording_id) == [("stalled", "still UPLOADING after 7200 s")]
    bench.take_operations()
    for _ in range(8):
        await bench.run_due(300)
    assert (await bench.published(recording_id))[3:] == [
        "ERRORED",
        "completed 0",
        "UPLOADED",
        *["file"] * 3,
        "completed 3",
    ]
    assert bench.take_operations().count("get_recording") <= 6


async def test_the_end_of_a_timed_out_recording_is_taken_from_a_list_that_shows_it(
    bench: TrackingBench,
) -> None:
    bench.restart(follow_all=True)
    await bench.sweep.sweep()
    recording_id = await time_out_uploading(bench)
    assert await last_status(bench, recording_id) == "ERRORED"
    bench.sandbox.clock.advance(1000)
    bench.take_operations()
    await bench.sweep.sweep()
    assert await last_status(bench, recording_id) == "UPLOADED"
    assert "get_recording" not in bench.take_operations()


async def test_a_recording_that_a_list_shows_live_after_its_time_out_is_read_when_it_ends(
    bench: TrackingBench,
) -> None:
    await bench.start()  # keeps the lists going
    bench.sandbox.behaviour.change({"invoked_seconds": 1500.0})
    recording_id = await bench.start()
    for seconds in (10, TIMEOUTS.invoked_timeout, 600, 600):  # the next check of its end is then
        await bench.run_due(seconds)  # 20 minutes away
    assert await last_status(bench, recording_id) == "ERRORED"
    await bench.run_due(300)
    assert await last_status(bench, recording_id) == "RECORDING"
    await bench.api.control_recording(recording_id, "stop")
    await bench.run_due(10)
    assert await last_status(bench, recording_id) == "UPLOADED"


@pytest.mark.parametrize(("status", "ends"), [(Status.UPLOADED, 1), (Status.ERRORED, 0)])
async def test_a_listed_end_counts_for_a_timed_out_recording_only_with_another_status(
    bench: TrackingBench, status: Status, ends: int
) -> None:
    recording_id = await bench.start()
    known = await bench.stored(recording_id)
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 1)
    error = stalled_error(known, TIMEOUTS, bench.now())
    await bench.store.apply([end_observation(known, error, asked_at=bench.now(), now=bench.now())])
    listed = RecordingSnapshot(recording_id=recording_id, status=status, error_message="gone")
    page = RecordingPage(
        recordings=(listed,), total_count=1, end_offset=1, is_last=True, unreadable_count=0
    )
    ended = EndedList(
        bench.store, bench.api, app="default", shown_files=ShownFiles(), now=bench.now
    )
    assert (await ended.apply(page, bench.now())).found == ends


async def test_an_unproven_end_is_checked_again_for_a_day(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.run_due(TIMEOUTS.invoked_timeout + 1)
    bench.take_operations()
    for _ in range(30):
        await bench.run_due(3600)
    looks = bench.take_operations().count("get_recording")
    assert 5 <= looks <= 13
    await bench.run_due(86_400)
    assert bench.take_operations() == []
    assert (await bench.stored(recording_id)).timed_out


async def test_files_that_appear_hours_after_completion_are_published(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files", seconds=7200))
    recording_id = await bench.record_and_upload()
    for _ in range(30):
        await bench.run_due(600)
    assert (await bench.published(recording_id))[1:] == [
        "UPLOADED",
        "completed 0",
        *["file"] * 3,
        "completed 3",
    ]


async def test_a_vanished_recording_that_reappears_is_tracked_again(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    fault = Fault(kind="refuse", operation="get_recording", status=404)
    fault_id = bench.sandbox.faults.add(fault)
    bench.sandbox.behaviour.change({"list_lag_seconds": 86_400.0})
    for _ in range(10):
        await bench.run_due(10)
    assert (await bench.published(recording_id))[2:] == ["ERRORED", "completed 0"]
    bench.sandbox.faults.clear(fault_id)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    await bench.run_due(600)
    assert (await bench.published(recording_id))[4:] == ["RECORDING"]


@pytest.mark.parametrize(
    ("envelope", "code"), [("html", None), ("empty", None), ("cloudflare", 7003)]
)
async def test_a_recording_does_not_vanish_while_a_program_in_front_of_the_api_answers_404(
    bench: TrackingBench, envelope: Any, code: int | None
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.sandbox.faults.add(Fault(kind="refuse", status=404, envelope=envelope, code=code))
    for _ in range(10):
        await bench.run_due(TIMEOUTS.vanished_after)
    bench.sandbox.faults.clear()
    for _ in range(10):
        await bench.run_due(TIMEOUTS.vanished_after)
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


async def test_how_long_a_recording_is_missing_survives_a_restart(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    recordings = bench.sandbox.recordings
    recordings.vanish(recordings.index.get(recording_id))
    for _ in range(3):
        await bench.run_due(10)
        bench.restart()
    await bench.run_due(TIMEOUTS.vanished_after - 15)
    assert await errors(bench, recording_id) == [
        ("vanished", "the API no longer has this recording")
    ]


async def test_a_postponed_read_survives_a_restart(bench: TrackingBench) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await bench.record_and_upload()
    await bench.run_due()
    for _ in range(4):
        await bench.run_due(5)
    bench.take_operations()
    bench.restart()
    await bench.refresher.read_due()
    assert bench.take_operations() == []
    bench.sandbox.clock.advance(TIMEOUTS.files_wait)
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[-1] == "completed 0"


async def test_a_time_out_does_not_count_if_a_webhook_changed_the_recording_meanwhile(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    known = await bench.stored(recording_id)
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 1)
    asked_at = bench.now() - timedelta(seconds=1)
    observation = end_observation(
        known, stalled_error(known, TIMEOUTS, bench.now()), asked_at=asked_at, now=bench.now()
    )
    moved = RecordingSnapshot(recording_id=recording_id, status=Status.RECORDING)
    await bench.observe(moved, "webhook")
    await bench.store.apply([observation])
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]
