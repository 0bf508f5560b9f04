"""External recordings are adopted if `WORKER_FOLLOW_ALL` is set, else ignored."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.recording import StartRequest
from recording_schemas import Kind, Status
from tests.integration.altered_answers import altered_client, rows_of
from tests.integration.tracking_bench import TrackingBench, open_bench
from tests.store_requests import claim_request, observation_of
from worker.domain.snapshot import RecordingSnapshot
from worker.store.observations import WebhookObservation
from worker.store.outbox_marks import PageMarks
from worker.store.pruning import PruneRequest
from worker.store.releasing import ReleaseRequest


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        opened.restart(follow_all=True)
        yield opened


async def start_external(
    bench: TrackingBench, kind: Kind = "track", meeting: str | None = None
) -> str:
    """Another program starts a recording; returns its id after a second."""
    body = {"meeting_id": meeting or str(uuid.uuid4())}
    start = (
        bench.api.start_track_recording if kind == "track" else bench.api.start_composite_recording
    )
    return (await start(body)).recording_id


async def claim_a_start(bench: TrackingBench) -> None:
    at, slot = bench.now().timestamp(), f"{bench.meeting}/track"
    claim = claim_request("start-1", owner="somebody", now=at, app="default", slot=slot)
    assert (await bench.store.claim(claim)).may_call


async def ended(bench: TrackingBench, recording_id: str) -> None:
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(5)


def start_external_now(bench: TrackingBench, kind: Kind = "track", **fields: Any) -> str:
    """Another program starts a recording now."""
    request = StartRequest(kind=kind, app_id="app", meeting_id=str(uuid.uuid4()), **fields)
    return bench.sandbox.recordings.start(request).id


def start_without_kind(bench: TrackingBench) -> str:
    """Another program starts a recording whose kind a list does not show."""
    return start_external_now(
        bench, "composite", video_suffix=None, audio_suffix=None, streams=True
    )


async def sweep_with_a_wait(bench: TrackingBench, seconds: float) -> tuple[str, str]:
    """Sweep once, waiting `seconds` after the first page, which has the newest recordings.

    Returns a recording that begins before the wait and one that begins and ends after it.
    """
    started: list[str] = []

    def is_leader() -> bool:
        if not started:
            started.append(start_external_now(bench))
            bench.sandbox.clock.advance(seconds)
            started.append(start_external_now(bench))
            bench.sandbox.clock.advance(2)
            recordings = bench.sandbox.recordings
            recordings.stop(recordings.index.get(started[1]))
            bench.sandbox.clock.advance(2)
        return True

    await bench.sweep.sweep(is_leader)
    return started[0], started[1]


async def test_recordings_of_others_are_ignored_unless_configured(bench: TrackingBench) -> None:
    bench.restart(follow_all=False)
    own_id, _external_id = await bench.start(), await start_external(bench)
    await bench.sweep_and_read(5)
    assert {change["subject"] for change in await bench.events()} == {own_id}


@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_a_live_recording_of_others_gets_all_its_events(
    bench: TrackingBench, kind: Kind
) -> None:
    external_id = await start_external(bench, kind)
    await bench.sweep_and_read(5)
    assert await bench.published(external_id) == ["RECORDING"]
    assert "get_recording" not in bench.take_operations(), "the list shows enough"
    await ended(bench, external_id)
    await bench.sweep_and_read(5)
    published = await bench.published(external_id)
    assert published[:2] == ["RECORDING", "UPLOADED"]
    assert published[-1].startswith("completed")
    assert (await bench.stored(external_id)).kind == kind


async def test_a_kind_missing_from_the_list_is_read_once(bench: TrackingBench) -> None:
    external_id = start_without_kind(bench)
    await bench.sweep_and_read(5)
    await bench.sweep_and_read(10)
    assert (await bench.stored(external_id)).kind == "composite"
    assert bench.take_operations().count("get_recording") == 1


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize(
    "prefix", ["sales_call_audio", f"d_{uuid.UUID(int=1)}_{uuid.UUID(int=2)}_peer_audio"]
)
async def test_a_composite_of_others_is_never_taken_for_a_track_because_of_its_name(
    bench: TrackingBench, prefix: str, suffix: str
) -> None:
    await bench.sweep_and_read()
    external_id = start_external_now(
        bench, "composite", prefix=prefix, video_suffix=suffix, audio_suffix="aac"
    )
    await bench.sweep_and_read(5)
    await ended(bench, external_id)
    await bench.sweep_and_read(5)
    assert (await bench.stored(external_id)).kind == "composite"
    keys = [event.routing_key for event in await bench.store.unsent(100)]
    assert keys[-3:] == ["composite.video.ready", "composite.audio.ready", "composite.completed"]


async def test_recordings_that_ended_before_the_first_sweep_get_no_events(
    bench: TrackingBench,
) -> None:
    await ended(bench, await start_external(bench))
    await bench.sweep_and_read(5)
    assert await bench.events() == []


async def test_recordings_that_ended_before_the_first_sweep_never_get_events(
    bench: TrackingBench,
) -> None:
    over = await start_external(bench)
    await ended(bench, over)
    for _ in range(4):
        await bench.sweep_and_read(100)
        start_external_now(bench)
    assert await bench.published(over) == []


async def test_a_recording_that_began_and_ended_between_two_sweeps_is_found(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    external_ids = [await start_external(bench) for _ in range(3)]
    for recording_id in external_ids:
        await ended(bench, recording_id)
    await bench.sweep_and_read(5)
    for recording_id in external_ids:
        assert (await bench.published(recording_id))[0] == "UPLOADED"
        assert (await bench.published(recording_id))[-1] == "completed 3"


async def test_a_recording_dated_in_the_future_hides_no_others(bench: TrackingBench) -> None:
    await bench.sweep_and_read()
    bench.sandbox.clock._base += 36_000
    await start_external(bench)
    bench.sandbox.clock._base -= 36_000
    await bench.sweep_and_read(5)
    external_id = await start_external(bench)
    await ended(bench, external_id)
    await bench.sweep_and_read(5)
    assert (await bench.published(external_id))[0] == "UPLOADED"


@pytest.mark.parametrize("seconds", [350, 4000])
async def test_a_recording_that_begins_during_a_sweep_is_found_however_long_the_sweep_takes(
    bench: TrackingBench, seconds: float
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 5})
    await bench.sweep_and_read()
    for _ in range(20):
        await start_external(bench)
    await bench.sweep_and_read(5)
    bench.sandbox.clock.advance(400)
    live, over = await sweep_with_a_wait(bench, seconds)
    assert (await bench.published(over))[0] == "UPLOADED"
    await bench.sweep_and_read(10)
    assert await bench.published(live) == ["RECORDING"]


async def test_a_recording_that_begins_during_a_sweep_and_ends_right_after_it_is_found(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 5})
    await bench.sweep_and_read()
    for _ in range(20):
        await start_external(bench)
    await bench.sweep_and_read(5)
    bench.sandbox.clock.advance(400)
    live, _ = await sweep_with_a_wait(bench, 350)
    await ended(bench, live)
    await bench.sweep_and_read(10)
    assert (await bench.published(live))[-1] == "completed 3"


async def test_a_live_recording_that_was_long_unreadable_is_found_once_it_is_readable(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    external_id = start_without_kind(bench)
    unread = bench.sandbox.faults.add(Fault(kind="refuse", operation="get_recording", status=404))
    for _ in range(3):
        await bench.sweep_and_read(400)
        start_external_now(bench)
    assert await bench.published(external_id) == []
    bench.sandbox.faults.clear(unread)
    await bench.sweep_and_read(10)
    assert await bench.published(external_id) == ["RECORDING"]


async def test_a_pruned_recording_that_never_ends_is_not_adopted_again(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    zombie = await start_external(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", status=400))
    await bench.sweep_and_read(10)
    for _ in range(8):
        start_external_now(bench)
        await bench.sweep_and_read(3 * 86_400)
    await bench.store.mark_page(
        PageMarks(sent=[event.position for event in await bench.store.unsent(1000)]), 0.0
    )
    await bench.store.prune_recordings(PruneRequest(before=bench.now().timestamp() - 86_400))
    assert await bench.store.find_tracked([zombie]) == {}
    await bench.sweep_and_read(10)
    assert await bench.events(zombie) == []


async def test_a_recording_that_began_and_ended_while_no_worker_ran_is_found_after_the_restart(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    external_ids = [await start_external(bench) for _ in range(250)]
    bench.sandbox.clock.advance(10)
    for recording_id in external_ids:
        await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(7200)
    bench.restart(follow_all=True)
    await bench.sweep.sweep()
    assert {change["subject"] for change in await bench.events()} == set(external_ids)


async def test_tracking_recordings_of_others_costs_two_requests_a_sweep_when_nothing_changes(
    bench: TrackingBench,
) -> None:
    for _ in range(150):
        await ended(bench, await start_external(bench))
    await bench.sweep_and_read()
    bench.sandbox.clock.advance(3600)
    bench.take_operations()
    await bench.sweep_and_read()
    assert bench.take_operations() == ["list_recordings"] * 2


async def test_many_recent_recordings_are_not_listed_twice(bench: TrackingBench) -> None:
    await bench.sweep_and_read()
    external_ids = [await start_external(bench) for _ in range(250)]
    await bench.sweep_and_read(2)
    bench.take_operations()
    await bench.sweep_and_read(10)
    assert (
        bench.take_operations() == ["list_recordings"] * 4
    )  # three pages of live recordings, none of ended ones
    assert {(await bench.published(recording_id))[-1] for recording_id in external_ids} == {
        "RECORDING"
    }


async def test_a_recording_listed_late_is_found_although_it_has_ended(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    await bench.sweep_and_read()
    bench.sandbox.behaviour.change({"list_lag_seconds": 200.0})
    late, early = await start_external(bench), await start_external(bench)
    bench.sandbox.clock.advance(150)
    await bench.sweep_and_read()
    assert await bench.events() == []
    await ended(bench, late)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    await bench.sweep_and_read(100)
    assert (await bench.published(late))[-1] == "completed 3"
    assert await bench.published(early) == ["RECORDING"]


async def test_a_recording_that_an_unfinished_start_may_own_is_left_to_the_start(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    await claim_a_start(bench)
    external_id = await start_external(bench, "composite", bench.meeting)
    maybe_ours = await start_external(bench, "track", bench.meeting)
    await bench.sweep_and_read(400)
    await bench.sweep_and_read(400)
    assert await bench.published(external_id) == ["RECORDING"]
    assert await bench.published(maybe_ours) == []


def without_meeting(request: httpx.Request, body: Any) -> None:
    """Leave the meeting out of the rows of lists."""
    if request.url.path.endswith("/recordings"):
        for row in rows_of(body):
            row.pop("meeting_id", None)
            row.pop("meeting", None)


async def test_a_recording_of_an_unfinished_start_is_left_to_it_if_lists_show_no_meeting(
    bench: TrackingBench,
) -> None:
    async with aclosing(altered_client(bench.sandbox.base_url, without_meeting)) as api:
        bench.restart(api, follow_all=True)
        await bench.sweep_and_read()
        await claim_a_start(bench)
        external_id = await start_external(bench, "track")
        maybe_ours = await start_external(bench, "track", bench.meeting)
        await bench.sweep_and_read(400)
    assert await bench.published(external_id) == ["RECORDING"]
    assert await bench.published(maybe_ours) == []


async def test_a_recording_that_no_start_claims_is_adopted(
    bench: TrackingBench,
) -> None:
    await bench.sweep_and_read()
    await claim_a_start(bench)
    maybe_ours = await start_external(bench, "track", bench.meeting)
    await bench.sweep_and_read(400)
    await bench.sweep_and_read(400)
    release = ReleaseRequest(command_id="start-1", uncertain=False, last_error="not called")
    await bench.store.release(release)
    await bench.sweep_and_read(400)
    assert await bench.published(maybe_ours) == ["RECORDING"]


async def test_a_webhook_about_an_unknown_recording_brings_the_next_sweep_forward(
    bench: TrackingBench,
) -> None:
    await bench.run_due()
    external_id = await start_external(bench)
    bench.sandbox.clock.advance(2)
    snapshot = RecordingSnapshot(recording_id=external_id, status=Status.RECORDING)
    published = observation_of(snapshot, bench.now(), "webhook")
    assert bench.interval.interval == 10
    await bench.store.apply_webhook(WebhookObservation(observation=published, follow_all=True))
    await bench.run_due(2)
    assert await bench.published(external_id) == ["RECORDING"]
    bench.take_operations()
    await bench.run_due(2)
    assert bench.take_operations() == []
