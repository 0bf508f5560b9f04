"""Every recording comes to an end within a set time, whatever the API does or leaves undone."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from recording_schemas import Status
from sandbox.model.faults import Fault
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, open_bench
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import end_observation, stalled_error

LONGEST = TIMEOUTS.recording_timeout + TIMEOUTS.uploading_timeout + TIMEOUTS.vanished_after
"""Within which every start has ended, in seconds."""

STEPS = (1, 5, 30, 120, 600, 3600)
"""Pauses between sweeps, the last one over and over."""


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


async def until_completed(bench: TrackingBench, recording_id: str) -> float:
    """Sweep until the recording is completed; after how many seconds that was."""
    passed = 0.0
    for number in range(80):
        if any(one.startswith("completed") for one in await bench.told(recording_id)):
            return passed
        step = STEPS[min(number, len(STEPS) - 1)]
        await bench.follow(step)
        passed += step
    raise AssertionError(f"not ended after {passed} s: {await bench.told(recording_id)}")


async def last_status(bench: TrackingBench, recording_id: str) -> str:
    return [one for one in await bench.told(recording_id) if one in Status.__members__][-1]


async def errors(bench: TrackingBench, recording_id: str) -> list[tuple[str, str]]:
    changes = await bench.data(recording_id, "recording.status_changed.v1")
    return [(one["error"]["code"], one["error"]["message"]) for one in changes if one["error"]]


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
async def test_whatever_becomes_of_a_recording_it_ends_in_time(
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
        (Fault(kind="refuse", operation="list_recordings", status=500), "ERRORED"),
        (Fault(kind="refuse", operation="change_recording", status=500), "ERRORED"),
        (Fault(kind="refuse", status=500), "ERRORED"),
        (Fault(kind="refuse", status=401), "ERRORED"),
        (Fault(kind="reset"), "ERRORED"),
    ],
    ids=lambda value: f"{value.kind} {value.operation}" if isinstance(value, Fault) else "",
)
async def test_whatever_the_api_answers_for_ever_each_start_ends_in_time(
    bench: TrackingBench, fault: Fault, last: str
) -> None:
    recording_id = await bench.start()
    bench.sandbox.faults.add(fault)
    assert await until_completed(bench, recording_id) <= LONGEST + STEPS[-1]
    assert await last_status(bench, recording_id) == last


async def test_a_recording_whose_session_ends_ends_with_it(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    await bench.follow(5)
    bench.sandbox.meetings.end_session(bench.meeting)
    assert await until_completed(bench, recording_id) <= 60
    told = await bench.told(recording_id)
    assert told[:2] == ["INVOKED", "RECORDING"]
    assert told[-5:] == ["UPLOADED", "file", "file", "file", "completed 3"]


async def test_a_recording_that_never_stops_is_stopped_in_the_end(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    await bench.follow(2)
    await bench.follow(TIMEOUTS.recording_timeout - 10)
    assert await bench.told(recording_id) == ["INVOKED", "RECORDING"]
    await bench.follow(20)
    await bench.follow(20)
    assert (await bench.told(recording_id))[2:] == [
        "UPLOADING",
        "UPLOADED",
        *["file"] * 3,
        "completed 3",
    ]


async def test_going_to_and_fro_between_recording_and_paused_does_not_go_on_for_ever(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.follow(2)
    for action in ("pause", "resume") * 2:
        await bench.follow(TIMEOUTS.recording_timeout / 5)
        await bench.api.control_recording(recording_id, action)
    await bench.follow(TIMEOUTS.recording_timeout / 4)
    for _ in range(2):
        await bench.follow(20)
    assert (await bench.told(recording_id))[-1] == "completed 3"


async def test_what_others_started_is_given_up_but_not_stopped(bench: TrackingBench) -> None:
    snapshot = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    sight = Observation(
        snapshot=snapshot, observed_by="command", asked_at=bench.now(), observed_at=bench.now()
    )
    await bench.store.apply([sight])
    await bench.follow(2)
    await bench.follow(TIMEOUTS.recording_timeout)
    assert await errors(bench, snapshot.recording_id) == [
        ("stalled", "still RECORDING after 90000 s")
    ]
    assert "change_recording" not in bench.asked()


async def test_a_recording_that_is_uploaded_for_ever_is_given_up_and_followed_again_when_it_is_done(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"uploading_seconds": TIMEOUTS.uploading_timeout + 1000})
    recording_id = await bench.start()
    await bench.follow(10)
    await bench.api.control_recording(recording_id, "stop")
    await bench.follow(10)
    await bench.follow(TIMEOUTS.uploading_timeout)
    assert await errors(bench, recording_id) == [("stalled", "still UPLOADING after 7200 s")]
    bench.asked()
    for _ in range(8):
        await bench.follow(300)
    assert (await bench.told(recording_id))[3:] == [
        "ERRORED",
        "completed 0",
        "UPLOADED",
        *["file"] * 3,
    ]
    assert bench.asked().count("get_recording") <= 6


async def test_an_end_without_proof_is_looked_into_again_and_again_for_a_day(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.follow(TIMEOUTS.invoked_timeout + 1)
    bench.asked()
    for _ in range(120):
        await bench.follow(900)
    looks = bench.asked().count("get_recording")
    assert 5 <= looks <= 13
    await bench.follow(86_400)
    assert bench.asked() == []
    assert (await bench.known(recording_id)).timed_out


async def test_files_that_turn_up_hours_after_a_recording_was_completed_without_are_told(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files", seconds=7200))
    recording_id = await bench.record_and_upload()
    for _ in range(30):
        await bench.follow(600)
    assert (await bench.told(recording_id))[1:] == ["UPLOADED", "completed 0", *["file"] * 3]


async def test_a_vanished_recording_that_is_there_again_is_followed_again(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.follow(2)
    fault = Fault(kind="refuse", operation="get_recording", status=404)
    fault_id = bench.sandbox.faults.add(fault)
    bench.sandbox.behaviour.change({"list_lag_seconds": 86_400.0})
    for _ in range(10):
        await bench.follow(10)
    assert (await bench.told(recording_id))[2:] == ["ERRORED", "completed 0"]
    bench.sandbox.faults.clear(fault_id)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    await bench.follow(600)
    assert (await bench.told(recording_id))[4:] == ["RECORDING"]


async def test_since_when_a_recording_is_missing_is_not_forgotten_at_a_restart(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.follow(2)
    recordings = bench.sandbox.recordings
    recordings.vanish(recordings.index.get(recording_id))
    for _ in range(3):
        await bench.follow(10)
        bench.restart()
    await bench.follow(TIMEOUTS.vanished_after - 15)
    assert await errors(bench, recording_id) == [
        ("vanished", "the API no longer knows this recording")
    ]


async def test_a_look_that_was_put_off_is_not_forgotten_at_a_restart(bench: TrackingBench) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await bench.record_and_upload()
    await bench.follow()
    for _ in range(4):
        await bench.follow(5)
    bench.asked()
    bench.restart()
    await bench.refresher.once()
    assert bench.asked() == []
    bench.sandbox.clock.advance(TIMEOUTS.files_wait)
    await bench.refresher.once()
    assert (await bench.told(recording_id))[-1] == "completed 0"


async def test_an_end_that_is_concluded_while_a_webhook_tells_more_does_not_count(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    known = await bench.known(recording_id)
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 1)
    asked_at = bench.now() - timedelta(seconds=1)
    moved = Observation(
        snapshot=RecordingSnapshot(recording_id=recording_id, status=Status.RECORDING),
        observed_by="webhook",
        asked_at=bench.now(),
        observed_at=bench.now(),
    )
    given_up = end_observation(
        known, stalled_error(known, TIMEOUTS, bench.now()), asked_at=asked_at, now=bench.now()
    )
    await bench.store.apply([moved])
    await bench.store.apply([given_up])
    assert await bench.told(recording_id) == ["INVOKED", "RECORDING"]
