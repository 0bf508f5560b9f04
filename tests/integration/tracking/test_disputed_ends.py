"""Recordings about which the API contradicts itself end in time."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, client

WHOLE = TIMEOUTS.recording_timeout + TIMEOUTS.uploading_timeout + TIMEOUTS.vanished_after
"""Seconds within which every start has ended."""

STEP = 900.0
"""Shorter than every time-out but that of INVOKED. A step costs nine commits."""
HALF_HOUR = 1800.0
HOUR = 3600.0
"""Shorter than the time-outs of states that may last a day."""


async def nothing() -> None:
    """Does nothing between two sweeps."""


async def until_ended(
    bench: TrackingBench,
    recording_id: str,
    within: float,
    meanwhile: Callable[[], Awaitable[object]] = nothing,
    step: float = HOUR,
) -> list[str]:
    """The events until the recording completes, or until this many seconds have passed."""
    began_at = (await bench.stored(recording_id)).first_seen_at
    assert began_at is not None
    while (bench.now() - began_at).total_seconds() < within:
        await meanwhile()
        await bench.run_due(step)
        if (await bench.stored(recording_id)).completed:
            break
    return await bench.published(recording_id)


async def still_the_same_after_a_day(bench: TrackingBench, recording_id: str) -> bool:
    before = await bench.published(recording_id)
    for _ in range(25):
        await bench.run_due(HOUR)
    return await bench.published(recording_id) == before


def refuse(operation: str, status: int, recording_id: str | None = None) -> Fault:
    return Fault(kind="refuse", operation=operation, status=status, recording_id=recording_id)


async def test_a_recording_listed_as_invoked_but_not_found_ends_in_time_and_stays_ended(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    bench.sandbox.faults.add(refuse("get_recording", 404))
    recording_id = await bench.start()
    within = TIMEOUTS.invoked_timeout + STEP
    published = await until_ended(bench, recording_id, within, step=STEP)
    assert published == ["INVOKED", "ERRORED", "completed 0"]
    assert await still_the_same_after_a_day(bench, recording_id)


async def test_a_recording_listed_as_recording_but_not_found_is_stopped_and_ends_in_time(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(refuse("get_recording", 404))
    recording_id = await bench.start()
    published = await until_ended(bench, recording_id, WHOLE)
    assert published == ["INVOKED", "RECORDING", "UPLOADING", "ERRORED", "completed 0"]
    assert await still_the_same_after_a_day(bench, recording_id)


async def test_an_uploaded_recording_listed_as_recording_but_not_found_completes_in_time(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(refuse("get_recording", 404))
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, Status.UPLOADED)
    keep_busy = await bench.start("composite", meeting="0b7ae2f8-5fd4-4c32-a3a5-2f1ed1c0c001")
    for _ in range(20):
        await bench.run_due(10)
    assert await bench.published(recording_id) == [
        "INVOKED",
        "RECORDING",
        "UPLOADED",
        "completed 0",
    ]
    assert "completed 0" not in await bench.published(keep_busy)


@pytest.mark.parametrize(("status", "step"), [(Status.RECORDING, HOUR), (Status.UPLOADING, STEP)])
async def test_a_webhook_that_the_api_never_confirms_does_not_prevent_the_end(
    bench: TrackingBench, status: Status, step: float
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, status)
    within = TIMEOUTS.status_timeout(status) + 2 * STEP
    published = await until_ended(bench, recording_id, within, step=step)
    assert published == ["INVOKED", str(status), "ERRORED", "completed 0"]
    assert bench.take_operations().count("get_recording") < 5
    assert await still_the_same_after_a_day(bench, recording_id)


async def test_a_recording_that_is_uploading_only_by_webhook_is_stopped_in_time(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, Status.UPLOADING)
    await until_ended(bench, recording_id, TIMEOUTS.uploading_timeout + 2 * STEP, step=STEP)
    for _ in range(3):
        await bench.run_due(STEP)
    assert (await bench.api.get_recording(recording_id)).status is Status.UPLOADED
    published = await bench.published(recording_id)
    assert published[-5:] == ["UPLOADED", "file", "file", "file", "completed 3"]


async def test_a_recording_whose_status_flips_before_every_read_ends_in_time(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    turns = iter(range(1_000))

    async def flip() -> None:
        if (await bench.stored(recording_id)).status in {Status.RECORDING, Status.PAUSED}:
            await bench.api.control_recording(
                recording_id, "resume" if next(turns) % 2 else "pause"
            )

    published = await until_ended(bench, recording_id, WHOLE, meanwhile=flip)
    assert published[-5:] == ["UPLOADED", "file", "file", "file", "completed 3"]


@pytest.mark.parametrize("operation", ["list_recordings", "get_recording", "change_recording"])
async def test_a_recording_whose_status_flips_ends_in_time_whichever_request_keeps_failing(
    bench: TrackingBench, operation: str
) -> None:
    """Pause and resume it by commands, whose answers are applied."""
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.sandbox.faults.add(refuse(operation, 500))
    turns = iter(range(1_000))

    async def flip() -> None:
        if (await bench.stored(recording_id)).status in {Status.RECORDING, Status.PAUSED}:
            paused = next(turns) % 2
            await bench.apply_answer(recording_id, Status.RECORDING if paused else Status.PAUSED)

    published = await until_ended(bench, recording_id, WHOLE + STEP, meanwhile=flip)
    assert published[-1].startswith("completed")


async def test_a_late_upload_that_is_never_listed_again_ends_in_time(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.sandbox.clock.advance(TIMEOUTS.recording_timeout - 100)
    await bench.apply_webhook(recording_id, Status.UPLOADING)
    bench.sandbox.faults.add(refuse("*", 500))
    published = await until_ended(bench, recording_id, WHOLE + 2 * STEP)
    assert published == ["INVOKED", "RECORDING", "UPLOADING", "ERRORED", "completed 0"]


async def test_a_late_upload_that_never_ends_ends_in_time(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"uploading_seconds": 10 * WHOLE})
    recording_id = await bench.start()
    await bench.run_due(2)
    fault = bench.sandbox.faults.add(refuse("get_recording", 500))
    for turn in range(24):  # no time-out may end it meanwhile
        await bench.apply_answer(recording_id, Status.RECORDING if turn % 2 else Status.PAUSED)
        await bench.run_due(4000)
    bench.sandbox.faults.clear(fault)
    published = await until_ended(bench, recording_id, WHOLE + STEP, step=STEP)
    assert published[-3:] == ["UPLOADING", "ERRORED", "completed 0"]
    error = (await bench.stored(recording_id)).error
    assert error is not None
    assert error.message == "still UPLOADING 97200 s after it was first seen"


@pytest.mark.parametrize(("known", "step"), [(Status.RECORDING, HOUR), (Status.UPLOADING, STEP)])
async def test_a_stop_without_effect_does_not_prevent_the_end(
    bench: TrackingBench, known: Status, step: float
) -> None:
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, known)

    def always(request: httpx.Request) -> httpx.Response:
        alone = {"id": recording_id, "status": "PAUSED", "type": "TRACK"}
        listing = request.url.path.endswith("/recordings")
        return httpx.Response(200, json={"success": True, "data": [alone] if listing else alone})

    bench.restart(client(transport=httpx.MockTransport(always)))
    within = TIMEOUTS.status_timeout(known) + 2 * STEP
    published = await until_ended(bench, recording_id, within, step=step)
    assert published[-2:] == ["ERRORED", "completed 0"]


async def test_a_recording_that_stays_invoked_is_stopped_before_it_times_out(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    bench.take_operations()
    await bench.run_due(TIMEOUTS.invoked_timeout + 1)
    stop = ["list_recordings", "get_recording", "change_recording"]
    assert bench.take_operations() == [*stop, "list_participants"]
    assert await bench.published(recording_id) == ["INVOKED", "ERRORED", "completed 0"]


async def time_out_observation(bench: TrackingBench) -> str:
    """A recording that was INVOKED for too long."""
    bench.sandbox.faults.add(Fault(kind="stuck_invoked", count=1))
    recording_id = await bench.start()
    await bench.run_due(TIMEOUTS.invoked_timeout + 1)
    assert (await bench.stored(recording_id)).completed
    bench.take_operations()
    return recording_id


async def follow_while_others_can_be_read(bench: TrackingBench, steps: int) -> int:
    """The number of reads so far."""
    for _ in range(steps):
        await bench.run_due(HALF_HOUR)
        await bench.api.list_recordings()
    return bench.take_operations().count("get_recording")


async def test_an_end_that_cannot_be_checked_is_left_alone_after_a_day(
    bench: TrackingBench,
) -> None:
    recording_id = await time_out_observation(bench)
    bench.sandbox.faults.add(refuse("get_recording", 500, recording_id=recording_id))
    assert await follow_while_others_can_be_read(bench, 49) > 10
    await follow_while_others_can_be_read(bench, 4)
    assert await follow_while_others_can_be_read(bench, 4) == 0
    found = await bench.store.find_tracked([recording_id])
    assert found[recording_id].read_at is None, "or it would never be forgotten"


async def test_a_webhook_about_a_long_ended_recording_is_read_even_if_the_first_read_fails(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 7 * 86_400.0})
    recording_id = await bench.start()
    for _ in range(8):
        await bench.run_due(86_400)
    failing = Fault(kind="refuse", operation="get_recording", status=500, count=4)
    bench.sandbox.faults.add(failing)
    await bench.apply_webhook(recording_id, Status.RECORDING)
    await follow_while_others_can_be_read(bench, 10)
    published = await bench.published(recording_id)
    assert published[:4] == ["INVOKED", "ERRORED", "completed 0", "RECORDING"]
