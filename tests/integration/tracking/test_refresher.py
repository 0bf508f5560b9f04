"""Which recordings are read singly, when, and at which cost."""

import asyncio
import uuid

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.integration.tracking_bench import TrackingBench, client
from worker.domain.errors import StoreUnavailable


async def recording(bench: TrackingBench, count: int = 1) -> list[str]:
    """Start recordings that are RECORDING since the last sweep; returns their ids."""
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(count)]
    await bench.run_due(2)
    bench.sandbox.clock.advance(5)
    bench.take_operations()
    return ids


async def test_a_change_that_a_webhook_cannot_settle_is_read_once(bench: TrackingBench) -> None:
    (recording_id,) = await recording(bench)
    await bench.api.control_recording(recording_id, "pause")
    await bench.apply_webhook(recording_id, Status.PAUSED)
    bench.take_operations()
    await bench.refresher.read_due()
    await bench.refresher.read_due()
    assert bench.take_operations() == ["get_recording"]
    assert (await bench.published(recording_id))[-1] == "PAUSED"


async def test_many_webhooks_about_live_recordings_cost_one_list_instead_of_many_reads(
    bench: TrackingBench,
) -> None:
    ids = await recording(bench, 20)
    for recording_id in ids:
        await bench.api.control_recording(recording_id, "pause")
        await bench.apply_webhook(recording_id, Status.PAUSED)
    bench.take_operations()
    await bench.refresher.read_due()
    await bench.run_due(1)
    assert bench.take_operations() == ["list_recordings"]
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"PAUSED"}
    await bench.run_due(60)
    assert bench.take_operations() == ["list_recordings"]


async def test_a_running_sweep_is_not_followed_by_another_for_the_same_webhooks(
    bench: TrackingBench,
) -> None:
    ids = await recording(bench, 20)
    for recording_id in ids:
        await bench.apply_webhook(recording_id, Status.PAUSED)
    items = [{"id": recording_id, "status": "PAUSED", "type": "TRACK"} for recording_id in ids]
    places = {"total_count": 20, "start_offset": 1, "end_offset": 20}
    page = {"success": True, "data": items, "paging": places}
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/")[2])
        await bench.refresher.read_due()
        return httpx.Response(200, json=page)

    bench.restart(client(transport=httpx.MockTransport(answer)))
    for _ in range(5):
        await bench.run_due(1)
    assert asked == ["recordings"]
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"PAUSED"}


async def test_the_files_of_many_recordings_missing_from_the_list_are_read(
    bench: TrackingBench,
) -> None:
    ids = await recording(bench, 30)
    for recording_id in ids:
        await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(10)
    bench.take_operations()
    await bench.run_due(1)
    asked = bench.take_operations()
    assert asked.count("get_recording") == 30
    assert asked.count("list_recordings") == 2
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"completed 3"}


async def test_a_webhook_received_during_a_list_request_is_not_settled_by_its_answer(
    bench: TrackingBench,
) -> None:
    (recording_id,) = await recording(bench)
    snapshot = await bench.api.get_recording(recording_id)
    asked_at = bench.now()
    bench.sandbox.clock.advance(1)
    await bench.api.control_recording(recording_id, "pause")
    await bench.apply_webhook(recording_id, Status.PAUSED)
    await bench.observe(snapshot, "sweep", asked_at=asked_at)
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[-1] == "PAUSED"


async def test_files_and_the_participants_cost_two_requests_for_each_recording(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"track_download_url": "links"})
    recording_id = await bench.record_and_upload()
    bench.take_operations()
    await bench.sweep_and_read()
    assert bench.take_operations() == ["list_recordings", "get_recording", "list_participants"]
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert sorted(file["custom_participant_id"] for file in files) == [
        "participant-1",
        "participant-2",
        "participant-3",
    ]
    assert all(file["user_id"] and file["peer_id"] for file in files)


async def test_an_unreadable_recording_is_retried_with_growing_delays(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    fault = Fault(kind="refuse", operation="get_recording", recording_id=recording_id, status=500)
    bench.sandbox.faults.add(fault)
    await bench.sweep.sweep()
    for _ in range(4):  # other requests succeed: the API is available
        await bench.refresher.read_due()
        await bench.api.list_recordings()
        bench.sandbox.clock.advance(0.1)
    bench.take_operations()
    for _ in range(100):
        bench.sandbox.clock.advance(6)
        await bench.refresher.read_due()
        await bench.api.list_recordings()
    assert 4 <= bench.take_operations().count("get_recording") <= 12


async def test_nothing_is_read_while_the_api_is_down(bench: TrackingBench) -> None:
    ids = [await bench.record_and_upload(meeting=str(uuid.uuid4())) for _ in range(30)]
    await bench.sweep.sweep()
    bench.take_operations()
    bench.sandbox.faults.add(Fault(kind="refuse", status=401))
    await bench.refresher.read_due()
    assert bench.take_operations().count("get_recording") <= 8
    assert bench.breaker.is_open
    bench.sandbox.faults.clear()
    for _ in range(60):
        bench.sandbox.clock.advance(1)
        await bench.refresher.read_due()
    assert {(await bench.published(recording_id))[-1] for recording_id in ids} == {"completed 3"}


async def test_a_refresher_that_is_not_the_leader_reads_nothing(bench: TrackingBench) -> None:
    await bench.record_and_upload()
    await bench.sweep.sweep()
    bench.take_operations()
    await bench.refresher.read_due(lambda: False)
    assert bench.take_operations() == []


async def test_a_refresher_that_is_not_the_leader_yields_to_other_tasks(
    bench: TrackingBench, eventually: Eventually
) -> None:
    asked: list[bool] = []

    def is_leader() -> bool:
        asked.append(False)
        return False

    bench.refresher.wake()
    run = asyncio.create_task(bench.refresher.run(is_leader))
    await eventually(lambda: len(asked) == 2)  # twice in each iteration
    bench.refresher.wake()
    await eventually(lambda: len(asked) == 4)
    run.cancel()
    await asyncio.wait([run])


async def test_a_read_cancelled_before_it_began_is_made_the_next_time(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    await bench.sweep.sweep()
    turns = iter([True])

    def is_leader() -> bool:
        for turn in turns:
            return turn
        raise StoreUnavailable("nobody knows who leads")

    with pytest.raises(ExceptionGroup):
        await bench.refresher.read_due(is_leader)
    await bench.refresher.read_due()
    assert (await bench.published(recording_id))[-1] == "completed 3"


async def test_a_read_that_fails_after_the_lead_was_lost_does_not_end_the_refresher(
    bench: TrackingBench, eventually: Eventually
) -> None:
    """A TaskGroup in the loop's own task would leave it marked as cancelled (Python 3.11.2)."""
    await bench.record_and_upload()
    await bench.sweep.sweep()
    leads = [True]
    asked: list[bool] = []
    has_lost_the_lead = asyncio.Event()

    def is_leader() -> bool:
        asked.append(bool(leads))
        if not leads:
            has_lost_the_lead.set()
        return bool(leads)

    async def answer(_request: httpx.Request) -> httpx.Response:
        leads.clear()
        bench.refresher.wake()
        await has_lost_the_lead.wait()
        await bench.store.close()
        return httpx.Response(503)

    bench.restart(client(transport=httpx.MockTransport(answer)))
    reading = asyncio.create_task(bench.refresher.run(is_leader))
    await has_lost_the_lead.wait()
    await eventually(lambda: reading.done() or asked.count(False) > 5)
    assert not reading.done()
    reading.cancel()
    await asyncio.wait([reading])


async def test_a_recording_that_a_command_makes_due_is_read_at_once(
    bench: TrackingBench, eventually: Eventually
) -> None:
    """The answer to a stop may already show the end."""
    bench.store.subscribe("due", bench.refresher.wake)
    reading = asyncio.create_task(bench.refresher.run(lambda: True))
    recording_id = await bench.record_and_upload()
    await bench.observe(await bench.api.get_recording(recording_id), "command")

    async def is_told() -> bool:
        return (await bench.published(recording_id))[-1] == "completed 3"

    await eventually(is_told)
    reading.cancel()
    await asyncio.wait([reading])
