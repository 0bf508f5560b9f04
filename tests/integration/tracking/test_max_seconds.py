"""A track recording whose start limits its duration is stopped by the worker itself."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.command_bench import START, open_command_bench
from tests.integration.tracking_bench import (
    TIMEOUTS,
    TrackingBench,
    client,
    on_both_engines,
    open_bench,
)
from worker.broker.messages import Ack, Retry
from worker.store.queries import RecordingsFilter
from worker.store.stop_times import DueStopsQuery, MovedStop
from worker.store.store import Store
from worker.tracking.duration_limiter import MAX_REFUSED_DELAY_SECONDS, MAX_RETRY_DELAY_SECONDS

LIMIT = 600
CLAIM_SECONDS = 17.0
"""The most seconds that a dead replica's attempt can block the attempts of others."""


@pytest.fixture
async def bench(usual_database_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(usual_database_url) as opened:
        yield opened


async def limited(bench: TrackingBench) -> str:
    """Start a recording that may take `LIMIT` seconds. It records a second later."""
    recording_id = await bench.start(max_seconds=LIMIT)
    await bench.run_due(1)
    assert (await bench.stored(recording_id)).status is Status.RECORDING
    return recording_id


class FreezingStore:
    """The store of a process that is frozen for a while after its first claim."""

    def __init__(self, bench: TrackingBench) -> None:
        self._bench = bench
        self._seconds = CLAIM_SECONDS

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.store, name)

    async def move_stop(self, request: MovedStop) -> bool:
        moved = await self._bench.store.move_stop(request)
        self._bench.sandbox.clock.advance(self._seconds)
        self._seconds = 0.0
        return moved


def status(bench: TrackingBench, recording_id: str) -> str:
    return bench.sandbox.recordings.index.get(recording_id).status


def stops(bench: TrackingBench) -> int:
    """The requests to stop since the last call."""
    return bench.take_operations().count("change_recording")


@on_both_engines
async def test_a_recording_is_stopped_once_when_its_longest_duration_has_passed(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    await bench.run_due(LIMIT - 1)
    assert stops(bench) == 0
    await bench.run_due(1)
    assert stops(bench) == 1
    assert (await bench.published(recording_id))[-1] == "UPLOADING"
    for _ in range(5):
        await bench.run_due(30)
    assert stops(bench) == 0
    last = (await bench.event_data(recording_id, "recording.status_changed.v1"))[-1]
    assert (last["status"], last["stop_reason"]) == ("UPLOADED", "API_CALL")


async def test_a_recording_without_a_maximum_duration_continues(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    for _ in range(10):
        await bench.run_due(8000)
    assert status(bench, recording_id) == "RECORDING"
    assert stops(bench) == 0


async def test_pauses_do_not_prolong_a_recording(bench: TrackingBench) -> None:
    recording_id = await limited(bench)
    for action in ("pause", "resume", "pause"):
        await bench.api.control_recording(recording_id, action)
        await bench.run_due(LIMIT / 4)
    assert status(bench, recording_id) == "PAUSED"
    await bench.run_due(LIMIT / 4)
    assert status(bench, recording_id) == "UPLOADING"


async def test_a_recording_that_a_user_stopped_before_is_not_stopped_again(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    await bench.api.control_recording(recording_id, "stop")
    await bench.run_due(10)
    stops(bench)
    await bench.run_due(LIMIT)
    assert stops(bench) == 0


async def test_a_user_who_stops_it_at_the_same_moment_leaves_nothing_to_do(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.clock.advance(LIMIT)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(5)
    await bench.limiter.stop_due()
    await bench.run_due(CLAIM_SECONDS)
    bench.take_operations()
    await bench.run_due(600)
    assert stops(bench) == 0
    assert (await bench.published(recording_id))[-1] == "completed 3"


async def test_the_duration_counts_from_the_apis_time_although_it_is_observed_late(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start(max_seconds=LIMIT)
    await bench.run_due(LIMIT - 100)
    await bench.run_due(102)
    assert status(bench, recording_id) == "UPLOADING"


async def test_a_webhook_without_a_time_is_enough(bench: TrackingBench) -> None:
    recording_id = await bench.start(max_seconds=LIMIT)
    bench.sandbox.clock.advance(3)
    await bench.apply_webhook(recording_id, Status.RECORDING)
    bench.sandbox.clock.advance(LIMIT - 1)
    await bench.limiter.stop_due()
    assert stops(bench) == 0
    bench.sandbox.clock.advance(1)
    await bench.limiter.stop_due()
    assert status(bench, recording_id) == "UPLOADING"


async def test_a_recording_that_is_seen_paused_first_has_begun(bench: TrackingBench) -> None:
    recording_id = await bench.start(max_seconds=LIMIT)
    bench.sandbox.clock.advance(2)
    await bench.api.control_recording(recording_id, "pause")
    await bench.run_due(10)
    await bench.run_due(LIMIT)
    assert status(bench, recording_id) == "UPLOADING"


async def test_a_recording_is_stopped_although_its_status_is_no_longer_a_documented_one(
    bench: TrackingBench,
) -> None:
    await limited(bench)
    shown = {"shown_statuses": {"RECORDING": "LIVE"}, "list_shown_statuses": True}
    bench.sandbox.behaviour.change(shown)
    stops(bench)
    for _ in range(LIMIT // 60 + 1):
        await bench.run_due(60)
    assert stops(bench) == 1


@on_both_engines
async def test_a_recording_is_stopped_by_a_worker_that_was_down_at_the_stop_time(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.clock.advance(LIMIT + 1000)
    bench.restart()
    await bench.limiter.stop_due()
    assert status(bench, recording_id) == "UPLOADING"


async def test_a_recording_is_stopped_within_seconds_when_the_api_is_back(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    for _ in range(60):
        await bench.run_due(20)
    assert status(bench, recording_id) == "RECORDING"
    bench.sandbox.faults.clear()
    for _ in range(int(MAX_RETRY_DELAY_SECONDS)):
        await bench.run_due(1)
    assert status(bench, recording_id) in {"UPLOADING", "UPLOADED"}


async def test_a_stop_is_not_tried_again_before_the_time_that_the_api_asked_for(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    pause = MAX_RETRY_DELAY_SECONDS - 1
    refuse = Fault(kind="refuse", operation="change_recording", status=503, retry_after=pause)
    bench.sandbox.faults.add(refuse)
    bench.sandbox.clock.advance(LIMIT)
    await bench.limiter.stop_due()
    bench.sandbox.faults.clear()
    bench.take_operations()
    for _ in range(int(pause) - 1):
        bench.sandbox.clock.advance(1)
        await bench.limiter.stop_due()
    assert stops(bench) == 0
    await bench.run_due(2)
    assert status(bench, recording_id) in {"UPLOADING", "UPLOADED"}


@pytest.mark.parametrize("kind", ["lost_reset", "lost_502"])
async def test_a_stop_whose_answer_is_lost_is_not_sent_again_after_its_effect(
    bench: TrackingBench, kind: Any
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.faults.add(Fault(kind=kind, operation="change_recording", count=1))
    for seconds in (LIMIT, 1, 1, 1, 1):
        bench.sandbox.clock.advance(seconds)
        await bench.limiter.stop_due()
    assert status(bench, recording_id) in {"UPLOADING", "UPLOADED"}
    assert (await bench.stored(recording_id)).status in {Status.UPLOADING, Status.UPLOADED}
    bench.take_operations()
    await bench.run_due(CLAIM_SECONDS)
    assert stops(bench) == 0


async def test_a_stop_that_the_api_refuses_is_tried_again_after_growing_pauses(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    refuse = Fault(kind="refuse", operation="change_recording", status=400)
    bench.sandbox.faults.add(refuse)
    bench.sandbox.clock.advance(LIMIT)
    bench.take_operations()
    for _ in range(300):
        bench.sandbox.clock.advance(1)
        await bench.limiter.stop_due()
    assert 2 * 5 <= stops(bench) <= 2 * 12  # each attempt sends two requests
    bench.sandbox.faults.clear()
    for _ in range(int(MAX_REFUSED_DELAY_SECONDS)):
        await bench.run_due(1)
    assert status(bench, recording_id) in {"UPLOADING", "UPLOADED"}


async def test_a_recording_that_is_gone_is_not_stopped_for_ever(bench: TrackingBench) -> None:
    recording_id = await limited(bench)
    bench.sandbox.recordings.vanish(bench.sandbox.recordings.index.get(recording_id))
    for seconds in (LIMIT, 1, 40, 40):
        await bench.run_due(seconds)
    assert (await bench.published(recording_id))[-2:] == ["ERRORED", "completed 0"]
    bench.take_operations()
    for _ in range(20):
        bench.sandbox.clock.advance(60)
        await bench.limiter.stop_due()
    assert stops(bench) == 0


@on_both_engines
async def test_a_recording_that_was_given_up_in_an_outage_is_stopped_after_it(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    for _ in range(40):
        await bench.run_due((TIMEOUTS.recording_timeout + 60) / 40)
    assert (await bench.stored(recording_id)).timed_out
    bench.sandbox.faults.clear()
    for _ in range(20):
        await bench.run_due(2)
    assert status(bench, recording_id) in {"UPLOADING", "UPLOADED"}


# Several replicas


@on_both_engines
async def test_two_replicas_that_both_lead_send_one_stop(bench: TrackingBench) -> None:
    recording_id = await limited(bench)
    bench.sandbox.clock.advance(LIMIT)
    bench.sandbox.faults.add(Fault(kind="slow", operation="change_recording", seconds=0.0))
    bench.take_operations()
    await asyncio.gather(*(bench.new_limiter().stop_due() for _ in range(5)))
    assert stops(bench) == 1
    assert status(bench, recording_id) == "UPLOADING"


async def test_replicas_with_separate_connections_send_one_stop_for_each_recording(
    postgresql_url: str,
) -> None:
    async with open_bench(postgresql_url) as bench:
        ids = [await bench.start(max_seconds=LIMIT) for _ in range(8)]
        await bench.run_due(1)
        bench.sandbox.clock.advance(LIMIT)
        bench.take_operations()
        others = [await Store.open(postgresql_url, source="test") for _ in range(3)]
        replicas = [bench.new_limiter(store=store) for store in (bench.store, *others)]
        await asyncio.gather(*(replica.stop_due() for replica in replicas))
        assert stops(bench) == len(ids)
        for store in others:
            await store.close()


@on_both_engines
async def test_a_replica_that_dies_within_its_attempt_leaves_it_to_another_seconds_later(
    bench: TrackingBench,
) -> None:
    recording_id = await limited(bench)
    bench.sandbox.clock.advance(LIMIT)
    called = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        called.set()
        return await asyncio.Future()

    killed = bench.new_limiter(client(transport=httpx.MockTransport(hang)))
    attempt = asyncio.create_task(killed.stop_due())
    await called.wait()
    attempt.cancel()
    bench.sandbox.clock.advance(CLAIM_SECONDS - 1)
    await bench.limiter.stop_due()
    assert status(bench, recording_id) == "RECORDING"
    bench.sandbox.clock.advance(2)
    await bench.limiter.stop_due()
    assert status(bench, recording_id) == "UPLOADING"


@on_both_engines
async def test_an_attempt_that_was_frozen_until_its_claim_ended_sends_nothing(
    bench: TrackingBench,
) -> None:
    await limited(bench)
    bench.sandbox.clock.advance(LIMIT)
    bench.take_operations()
    await bench.new_limiter(store=FreezingStore(bench)).stop_due()
    assert stops(bench) == 0


async def test_a_replica_that_does_not_lead_stops_nothing(bench: TrackingBench) -> None:
    await limited(bench)
    bench.sandbox.clock.advance(LIMIT)
    bench.take_operations()
    await bench.limiter.stop_due(lambda: False)
    assert bench.take_operations() == []


@on_both_engines
async def test_many_that_are_due_at_once_are_all_stopped(bench: TrackingBench) -> None:
    ids = [await bench.start(max_seconds=LIMIT) for _ in range(35)]
    await bench.run_due(1)
    bench.sandbox.clock.advance(LIMIT)
    bench.take_operations()
    await bench.limiter.stop_due()
    assert stops(bench) == 35
    assert {status(bench, recording_id) for recording_id in ids} == {"UPLOADING"}


# Starts


@pytest.mark.parametrize("kind", ["lost_reset", "lost_502"])
async def test_a_recording_that_is_adopted_after_a_lost_answer_keeps_its_longest_duration(
    tmp_path: Path, kind: Any
) -> None:
    async with open_command_bench(tmp_path) as commands:
        commands.sandbox.faults.add(Fault(kind=kind, operation=START, count=1))
        assert isinstance(await commands.send(commands.start(max_seconds=LIMIT)), Retry)
        commands.pass_time(6)
        assert await commands.send(commands.start(max_seconds=LIMIT)) == Ack()
        (recording,) = await commands.store.recordings(RecordingsFilter())
        assert recording.start is not None
        assert recording.start.max_seconds == LIMIT
        assert recording.started_time is not None
        assert recording.stop_at == recording.started_time + timedelta(seconds=LIMIT)
        due = DueStopsQuery(app="default", now=recording.stop_at.timestamp(), limit=9)
        assert [stop.recording for stop in await commands.store.due_stops(due)] == [recording]


async def test_the_api_itself_limits_a_composite(tmp_path: Path) -> None:
    async with open_command_bench(tmp_path) as commands:
        await commands.send(commands.start(max_seconds=LIMIT) | {"type": "start_recording"})
        (begun,) = commands.sandbox.recordings.index.all()
        assert begun.request.max_seconds == LIMIT
        (recording,) = await commands.store.recordings(RecordingsFilter())
        assert recording.start is not None
        assert recording.start.max_seconds is None
