"""Recordings that were not started here: adopted if that is wanted, left alone if not."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recording_schemas import Kind, Status
from sandbox.model.faults import Fault
from sandbox.model.recording import StartRequest
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.store.inbox import ClaimRequest
from worker.store.observations import WebhookObservation
from worker.store.releasing import ReleaseRequest


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        opened.restart(follow_all=True)
        yield opened


async def stranger(bench: TrackingBench, kind: Kind = "track", meeting: str | None = None) -> str:
    """A recording that somebody else starts."""
    body = {"meeting_id": meeting or str(uuid.uuid4())}
    start = (
        bench.api.start_track_recording if kind == "track" else bench.api.start_composite_recording
    )
    return (await start(body)).recording_id


async def claim_a_start(bench: TrackingBench) -> None:
    claim = ClaimRequest(
        command_id="start-1",
        command_type="start_track_recording",
        owner="somebody",
        now=bench.now().timestamp(),
        lease_seconds=60,
        settle_seconds=30,
        abandoned_before=0,
        app="default",
        slot=f"{bench.meeting}/track",
    )
    assert (await bench.store.claim(claim)).may_call


async def ended(bench: TrackingBench, recording_id: str) -> None:
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(5)


def begun_now(bench: TrackingBench, kind: Kind = "track", **members: Any) -> str:
    """A recording that somebody else starts in this very moment."""
    request = StartRequest(kind=kind, app_id="app", meeting_id=str(uuid.uuid4()), **members)
    return bench.sandbox.recordings.start(request).id


def begun_nameless(bench: TrackingBench) -> str:
    """One of which nothing in a list tells what kind of recording it is."""
    return begun_now(bench, "composite", video_suffix=None, audio_suffix=None, streams=True)


async def a_sweep_that_waits(bench: TrackingBench, seconds: float) -> tuple[str, str]:
    """One sweep that has to wait behind its first page, which has the newest recordings. Returns a
    recording that begins as the wait does, and one that begins and ends before it is over."""
    begun: list[str] = []

    def leads() -> bool:
        if not begun:
            begun.append(begun_now(bench))
            bench.sandbox.clock.advance(seconds)
            begun.append(begun_now(bench))
            bench.sandbox.clock.advance(2)
            recordings = bench.sandbox.recordings
            recordings.stop(recordings.index.get(begun[1]))
            bench.sandbox.clock.advance(2)
        return True

    await bench.sweep.once(leads)
    return begun[0], begun[1]


async def test_without_being_told_to_nothing_of_others_is_followed(bench: TrackingBench) -> None:
    bench.restart(follow_all=False)
    ours, _theirs = await bench.start(), await stranger(bench)
    await bench.tick(5)
    assert {one["subject"] for one in await bench.events()} == {ours}


@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_a_live_recording_of_others_gets_all_its_events(
    bench: TrackingBench, kind: Kind
) -> None:
    theirs = await stranger(bench, kind)
    await bench.tick(5)
    assert await bench.told(theirs) == ["RECORDING"]
    await ended(bench, theirs)
    await bench.tick(5)
    told = await bench.told(theirs)
    assert told[:2] == ["RECORDING", "UPLOADED"]
    assert told[-1].startswith("completed")
    assert (await bench.known(theirs)).kind == kind


async def test_the_kind_that_a_list_does_not_tell_is_asked_for_once(bench: TrackingBench) -> None:
    theirs = begun_nameless(bench)
    await bench.tick(5)
    await bench.tick(10)
    assert (await bench.known(theirs)).kind == "composite"
    assert bench.asked().count("get_recording") == 1


async def test_what_was_over_before_anybody_followed_is_nobody_s_business(
    bench: TrackingBench,
) -> None:
    await ended(bench, await stranger(bench))
    await bench.tick(5)
    assert await bench.events() == []


async def test_what_was_over_before_stays_nobody_s_business_however_long_one_follows(
    bench: TrackingBench,
) -> None:
    over = await stranger(bench)
    await ended(bench, over)
    for _ in range(4):
        await bench.tick(100)
        begun_now(bench)
    assert await bench.told(over) == []


async def test_what_began_and_ended_between_two_sweeps_is_found(bench: TrackingBench) -> None:
    await bench.tick()
    theirs = [await stranger(bench) for _ in range(3)]
    for one in theirs:
        await ended(bench, one)
    await bench.tick(5)
    for one in theirs:
        assert (await bench.told(one))[0] == "UPLOADED"
        assert (await bench.told(one))[-1] == "completed 3"


async def test_a_recording_from_the_future_hides_none_of_the_present(bench: TrackingBench) -> None:
    await bench.tick()
    bench.sandbox.clock._base += 36_000
    await stranger(bench)
    bench.sandbox.clock._base -= 36_000
    await bench.tick(5)
    theirs = await stranger(bench)
    await ended(bench, theirs)
    await bench.tick(5)
    assert (await bench.told(theirs))[0] == "UPLOADED"


@pytest.mark.parametrize("seconds", [350, 4000])
async def test_what_begins_while_a_sweep_lasts_is_found_however_long_that_is(
    bench: TrackingBench, seconds: float
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 5})
    await bench.tick()
    for _ in range(20):
        await stranger(bench)
    await bench.tick(5)
    bench.sandbox.clock.advance(400)
    live, over = await a_sweep_that_waits(bench, seconds)
    assert (await bench.told(over))[0] == "UPLOADED"
    await bench.tick(10)
    assert await bench.told(live) == ["RECORDING"]


async def test_what_began_while_a_sweep_lasted_and_ended_right_after_it_is_found(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 5})
    await bench.tick()
    for _ in range(20):
        await stranger(bench)
    await bench.tick(5)
    bench.sandbox.clock.advance(400)
    live, _ = await a_sweep_that_waits(bench, 350)
    await ended(bench, live)
    await bench.tick(10)
    assert (await bench.told(live))[-1] == "completed 3"


async def test_a_live_recording_that_could_not_be_read_for_long_is_found_when_it_can(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    theirs = begun_nameless(bench)
    unread = bench.sandbox.faults.add(Fault(kind="refuse", operation="get_recording", status=404))
    for _ in range(3):
        await bench.tick(400)
        begun_now(bench)
    assert await bench.told(theirs) == []
    bench.sandbox.faults.clear(unread)
    await bench.tick(10)
    assert await bench.told(theirs) == ["RECORDING"]


async def test_one_that_never_ends_and_was_forgotten_is_not_begun_anew(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    zombie = await stranger(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="stop_recording", status=400))
    await bench.tick(10)
    for _ in range(8):
        begun_now(bench)
        await bench.tick(3 * 86_400)
    await bench.store.mark_sent([one.position for one in await bench.store.unsent(1000)], 0.0)
    await bench.store.prune_recordings(bench.now().timestamp() - 86_400)
    await bench.tick(10)
    assert await bench.events(zombie) == []


async def test_what_began_and_ended_while_no_worker_ran_is_found_after_the_restart(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    theirs = [await stranger(bench) for _ in range(250)]
    bench.sandbox.clock.advance(10)
    for one in theirs:
        await bench.api.control_recording(one, "stop")
    bench.sandbox.clock.advance(7200)
    bench.restart(follow_all=True)
    await bench.sweep.once()
    assert {one["subject"] for one in await bench.events()} == set(theirs)


async def test_following_others_costs_two_requests_when_nothing_happens(
    bench: TrackingBench,
) -> None:
    for _ in range(150):
        await ended(bench, await stranger(bench))
    await bench.tick()
    bench.sandbox.clock.advance(3600)
    bench.asked()
    await bench.tick()
    assert bench.asked() == ["list_recordings"] * 2


async def test_many_that_began_of_late_are_not_listed_twice(bench: TrackingBench) -> None:
    await bench.tick()
    theirs = [await stranger(bench) for _ in range(250)]
    await bench.tick(2)
    bench.asked()
    await bench.tick(10)
    assert bench.asked() == ["list_recordings"] * 4  # three pages of live ones, none of ended ones
    assert {(await bench.told(one))[-1] for one in theirs} == {"RECORDING"}


async def test_one_that_is_listed_late_is_found_though_it_ended_meanwhile(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    await bench.tick()
    bench.sandbox.behaviour.change({"list_lag_seconds": 200.0})
    late, early = await stranger(bench), await stranger(bench)
    bench.sandbox.clock.advance(150)
    await bench.tick()
    assert await bench.events() == []
    await ended(bench, late)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    await bench.tick(100)
    assert (await bench.told(late))[-1] == "completed 3"
    assert await bench.told(early) == ["RECORDING"]


async def test_a_recording_that_a_start_in_work_may_have_made_is_left_to_it(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    await claim_a_start(bench)
    theirs = await stranger(bench, "composite", bench.meeting)
    maybe_ours = await stranger(bench, "track", bench.meeting)
    await bench.tick(400)
    await bench.tick(400)
    assert await bench.told(theirs) == ["RECORDING"]
    assert await bench.told(maybe_ours) == []


async def test_a_recording_that_no_start_claimed_in_the_end_is_adopted_after_all(
    bench: TrackingBench,
) -> None:
    await bench.tick()
    await claim_a_start(bench)
    maybe_ours = await stranger(bench, "track", bench.meeting)
    await bench.tick(400)
    await bench.tick(400)
    release = ReleaseRequest(command_id="start-1", uncertain=False, last_error="not called")
    await bench.store.release(release)
    await bench.tick(400)
    assert await bench.told(maybe_ours) == ["RECORDING"]


async def test_a_webhook_about_an_unknown_recording_has_the_list_looked_at_soon(
    bench: TrackingBench,
) -> None:
    await bench.follow()
    theirs = await stranger(bench)
    bench.sandbox.clock.advance(2)
    told = Observation(
        snapshot=RecordingSnapshot(recording_id=theirs, status=Status.RECORDING),
        observed_by="webhook",
        asked_at=bench.now(),
        observed_at=bench.now(),
    )
    assert bench.interval.interval == 10
    await bench.store.apply_webhook(WebhookObservation(observation=told, follow_all=True))
    await bench.follow(2)
    assert await bench.told(theirs) == ["RECORDING"]
    bench.asked()
    await bench.follow(2)
    assert bench.asked() == []
