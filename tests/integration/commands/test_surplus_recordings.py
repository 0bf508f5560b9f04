"""A start that led to two recordings: the surplus one is stopped."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.tracking_bench import TrackingBench, on_both_engines, open_bench
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.recording import StartContext
from worker.store.claims import ClaimRequest
from worker.store.releasing import ReleaseRequest


@pytest.fixture
async def bench(usual_database_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(usual_database_url) as opened:
        yield opened


async def finish_start(bench: TrackingBench) -> str:
    """A replica ends the command `start` with another recording; returns its id."""
    asked_at = bench.now()
    snapshot = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    start = StartContext(start_id="start")
    observation = observation_of(snapshot, bench.now(), "command", asked_at=asked_at, start=start)
    made = (snapshot.recording_id,)
    await bench.store.finish(success_of("start", observation, at=asked_at, recording_ids=made))
    return snapshot.recording_id


def claim_of(bench: TrackingBench, command_id: str, **more: Any) -> ClaimRequest:
    at = bench.now().timestamp()
    return claim_request(command_id, owner="somebody", now=at, app="default", **more)


def claim_of_start(bench: TrackingBench) -> ClaimRequest:
    slot = f"{bench.meeting}/track"
    return claim_of(bench, "start", command_type="start_track_recording", slot=slot)


async def start_twice(bench: TrackingBench) -> tuple[str, str]:
    """Two replicas end the same start; returns its own recording and the surplus one."""
    await bench.store.claim(claim_of_start(bench))
    return await finish_start(bench), await finish_start(bench)


def status(bench: TrackingBench, recording_id: str) -> str:
    return bench.sandbox.recordings.index.get(recording_id).status


@on_both_engines
async def test_a_surplus_recording_is_stopped_at_once_and_the_starts_own_continues(
    bench: TrackingBench,
) -> None:
    own, surplus = await start_twice(bench)
    bench.sandbox.clock.advance(2)
    await bench.refresher.read_due()
    assert (status(bench, own), status(bench, surplus)) == ("RECORDING", "UPLOADING")
    assert (await bench.published(surplus))[-1] == "UPLOADING", "the answer to the stop says so"
    bench.sandbox.clock.advance(2)
    await bench.sweep_and_read()
    assert (await bench.published(surplus))[-1].startswith("completed")
    assert (await bench.stored(surplus)).start_id is None


async def test_a_surplus_recording_that_is_too_new_to_be_stopped_is_stopped_when_it_records(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 30.0})
    own, surplus = await start_twice(bench)
    for _ in range(5):
        await bench.run_due(4)
    assert status(bench, surplus) == "INVOKED"
    for _ in range(10):  # requests may time out on a busy machine
        await bench.run_due(12)
        if status(bench, surplus) != "RECORDING":
            break
    assert status(bench, own) == "RECORDING"
    assert status(bench, surplus) in {"UPLOADING", "UPLOADED"}


@pytest.mark.parametrize("after_a_restart", [False, True])
async def test_a_stop_of_a_surplus_recording_that_failed_is_tried_again(
    bench: TrackingBench, after_a_restart: bool
) -> None:
    _, surplus = await start_twice(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", count=3))
    bench.sandbox.clock.advance(2)
    await bench.refresher.read_due()
    assert status(bench, surplus) == "RECORDING"
    if after_a_restart:
        bench.restart()
    for _ in range(10):
        await bench.run_due(5)
    assert status(bench, surplus) in {"UPLOADING", "UPLOADED"}


async def test_a_surplus_recording_that_never_records_ends_as_any_other(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 1e6})
    _, surplus = await start_twice(bench)
    for _ in range(6):
        await bench.run_due(30)
    assert (await bench.published(surplus))[-2:] == ["ERRORED", "completed 0"]


# A stop cancelled a start that might have been executed


async def stop_while_in_doubt(bench: TrackingBench, **target: Any) -> None:
    """A stop is claimed while the start is executed, and times out."""
    stop = claim_of(bench, "stop", command_type="stop_recording", cancels_starts=True, **target)
    await bench.store.claim(claim_of_start(bench))
    assert (await bench.store.claim(stop)).verdict == "new"
    await bench.store.release(
        ReleaseRequest(command_id="stop", uncertain=False, last_error="{}", acted_on=("other",))
    )


@pytest.mark.parametrize("by", ["start", "meeting"])
@on_both_engines
async def test_the_recording_of_a_cancelled_start_is_stopped_and_the_stop_names_it(
    bench: TrackingBench, by: str
) -> None:
    meeting = {"meeting_id": bench.meeting, "rival_slots": (f"{bench.meeting}/track",)}
    target: dict[str, Any] = {"start_id": "start"} if by == "start" else meeting
    await stop_while_in_doubt(bench, **target)
    own = await finish_start(bench)
    bench.sandbox.clock.advance(2)
    await bench.refresher.read_due()
    assert status(bench, own) == "UPLOADING"
    assert (await bench.stored(own)).start_id == "start"
    again = claim_of(bench, "stop", command_type="stop_recording", cancels_starts=True, **target)
    assert (await bench.store.claim(again)).acted_on == ("other", own)


async def test_a_stop_of_the_recording_of_a_cancelled_start_is_tried_again_after_a_restart(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 30.0})
    await stop_while_in_doubt(bench, start_id="start")
    own = await finish_start(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", count=3))
    for _ in range(5):
        await bench.run_due(5)
    bench.restart()
    for _ in range(10):
        await bench.run_due(5)
    assert status(bench, own) in {"UPLOADING", "UPLOADED"}
