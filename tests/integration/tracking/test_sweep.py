"""The requests and events of a sweep and of the reads after it: emulated API, real store."""

import uuid

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, client

# Requests


async def test_no_request_is_made_while_nothing_is_live(bench: TrackingBench) -> None:
    await bench.sweep_and_read()
    assert bench.take_operations() == []


async def test_one_list_request_shows_the_changes_of_all_live_recordings(
    bench: TrackingBench,
) -> None:
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(30)]
    bench.take_operations()
    await bench.sweep_and_read(2)
    assert bench.take_operations() == ["list_recordings"]
    for recording_id in ids:
        assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


async def test_a_sweep_that_finds_no_change_costs_one_request_and_publishes_nothing(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(2)
    before = await bench.stored(recording_id)
    bench.take_operations()
    await bench.sweep_and_read(10)
    assert bench.take_operations() == ["list_recordings"]
    assert await bench.stored(recording_id) == before


async def test_a_sweep_costs_one_request_for_each_page(
    bench: TrackingBench,
) -> None:
    ids = [await bench.start("composite", meeting=str(uuid.uuid4())) for _ in range(150)]
    bench.take_operations()
    await bench.sweep_and_read(2)
    assert bench.take_operations() == ["list_recordings"] * 2
    assert {tuple(await bench.published(recording_id)) for recording_id in ids} == {
        ("INVOKED", "RECORDING")
    }


@pytest.mark.parametrize("first_page", [1, 0])
async def test_a_list_with_pages_smaller_than_requested_is_read_to_its_end(
    bench: TrackingBench, first_page: int
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 7, "first_page": first_page})
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(20)]
    bench.take_operations()
    await bench.sweep_and_read(2)
    to_learn = 1 if first_page == 1 else 2  # how many there are, and that page 1 is the second one
    assert bench.take_operations() == ["list_recordings"] * (to_learn + 3)
    assert {tuple(await bench.published(recording_id)) for recording_id in ids} == {
        ("INVOKED", "RECORDING")
    }
    await bench.sweep_and_read(10)
    assert bench.take_operations() == ["list_recordings"] * 3


async def test_a_list_of_an_api_that_refuses_long_pages_is_read_to_its_end(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 15, "long_pages": "refuse"})
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(25)]
    await bench.sweep_and_read(2)
    bench.take_operations()
    assert {tuple(await bench.published(recording_id)) for recording_id in ids} == {
        ("INVOKED", "RECORDING")
    }
    await bench.sweep_and_read(10)
    assert bench.take_operations() == ["list_recordings"] * 3


async def test_a_sweep_ends_although_the_api_ignores_the_page_number(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    item = {"id": recording_id, "status": "RECORDING", "type": "TRACK"}
    asked: list[str] = []

    def same_page(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["page_no"])
        page = {"success": True, "data": [item], "paging": {"total_count": 99, "end_offset": 1}}
        return httpx.Response(200, json=page)

    bench.restart(client(transport=httpx.MockTransport(same_page)))
    await bench.sweep.sweep()
    assert len(asked) <= 6
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


# How recordings end


async def test_an_uploaded_recording_is_read_once_and_its_files_are_published_before_its_completion(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    bench.take_operations()
    await bench.sweep_and_read()
    assert bench.take_operations() == [
        "list_recordings",
        "get_recording",
        "list_participants",
    ]
    assert await bench.published(recording_id) == [
        "INVOKED",
        "UPLOADED",
        "file",
        "file",
        "file",
        "completed 3",
    ]
    await bench.sweep_and_read(10)
    assert bench.take_operations() == []


async def test_an_ended_recording_becomes_due_before_the_whole_list_is_read(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 3})
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(30)]
    await bench.sweep_and_read(10)
    await bench.api.control_recording(ids[-5], "stop")
    bench.sandbox.clock.advance(10)
    pages = iter([True] * 6)
    await bench.sweep.sweep(lambda: next(pages, False))
    await bench.refresher.read_due()
    assert (await bench.published(ids[-5]))[-1] == "completed 3"
    assert {
        (await bench.published(recording_id))[-1] for recording_id in ids if recording_id != ids[-5]
    } == {"RECORDING"}


async def test_a_recording_missing_from_several_pages_is_read_once(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 3})
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(30)]
    await bench.sweep_and_read(10)
    for recording_id in ids[::4]:
        await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(10)
    bench.take_operations()
    await bench.sweep_and_read()
    assert bench.take_operations().count("get_recording") == len(ids[::4])
    assert {(await bench.published(recording_id))[-1] for recording_id in ids[::4]} == {
        "completed 3"
    }


async def test_every_file_has_its_owner_after_a_rejoin_and_with_underscores_in_ids(
    bench: TrackingBench,
) -> None:
    meetings = bench.sandbox.meetings
    meeting = meetings.create(bench.meeting, participants=["ada", "grace", "li_sa"])
    ada, grace, _lisa = meeting.participants
    layers = {"default": {"media_kind": "audio", "file_name_prefix": "job_7_a"}}
    recording_id = await bench.start(user_ids=[ada, grace], layers=layers)
    bench.sandbox.clock.advance(5)
    meetings.rejoin(bench.meeting, ada)
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(recording_id, "stop")
    await bench.sweep_and_read(5)
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    owners = sorted((file["user_id"], file["custom_participant_id"]) for file in files)
    assert owners == sorted([(ada, "ada"), (ada, "ada"), (grace, "grace")])
    assert len({file["peer_id"] for file in files}) == 3
    assert [file["file_index"] for file in files] == [1, 2, 3]
    assert {file["file_count"] for file in files} == {3}


async def test_files_are_published_without_owners_when_the_session_is_unknown(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=404))
    await bench.sweep_and_read()
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert len(files) == 3
    assert {file["custom_participant_id"] for file in files} == {None}


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_participants_that_cannot_be_read_delay_the_files_but_do_not_hide_them(
    bench: TrackingBench, status: int
) -> None:
    recording_id = await bench.record_and_upload()
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=status))
    await bench.sweep_and_read()
    assert "UPLOADED" in await bench.published(recording_id)
    await bench.sweep_and_read(TIMEOUTS.files_wait + 1)
    assert (await bench.published(recording_id))[-4:] == ["file", "file", "file", "completed 3"]


async def test_participants_that_can_be_read_in_time_give_the_files_their_owners(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.record_and_upload()
    fault = Fault(kind="refuse", operation="list_participants", status=500)
    fault_id = bench.sandbox.faults.add(fault)
    await bench.sweep_and_read()
    bench.sandbox.faults.clear(fault_id)
    await bench.sweep_and_read(5)
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert {file["custom_participant_id"] for file in files} == {
        "participant-1",
        "participant-2",
        "participant-3",
    }


async def test_files_that_appear_after_the_upload_are_published(bench: TrackingBench) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files", seconds=30))
    recording_id = await bench.record_and_upload()
    await bench.sweep_and_read()
    assert await bench.published(recording_id) == ["INVOKED", "UPLOADED"]
    for _ in range(10):
        await bench.sweep_and_read(10)
    assert (await bench.published(recording_id))[2:] == ["file", "file", "file", "completed 3"]


async def test_reads_for_missing_files_become_less_frequent(bench: TrackingBench) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    await bench.record_and_upload()
    await bench.sweep_and_read()
    bench.take_operations()
    for _ in range(100):
        await bench.sweep_and_read(1)
    assert 3 <= bench.take_operations().count("get_recording") <= 8


async def test_a_recording_without_files_completes_with_none_after_the_wait(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await bench.record_and_upload()
    await bench.sweep_and_read()
    await bench.sweep_and_read(TIMEOUTS.files_wait - 15)
    assert "completed 0" not in await bench.published(recording_id)
    await bench.sweep_and_read(20)
    assert await bench.published(recording_id) == ["INVOKED", "UPLOADED", "completed 0"]
    assert await bench.store.count_by_app() == {}


async def test_an_errored_recording_is_published_with_its_reason_and_completes(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="fails_to_upload"))
    recording_id = await bench.record_and_upload()
    await bench.sweep_and_read()
    assert await bench.published(recording_id) == ["INVOKED", "ERRORED", "completed 0"]
    (change,) = [
        change
        for change in await bench.event_data(recording_id, "recording.status_changed.v1")
        if change["status"] == "ERRORED"
    ]
    assert change["error"] == {"code": "recording_errored", "message": "the upload failed"}


async def test_a_composite_recording_has_a_file_for_each_of_its_urls(bench: TrackingBench) -> None:
    recording_id = await bench.record_and_upload("composite")
    await bench.sweep_and_read()
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert sorted(file["media_kind"] for file in files) == ["audio", "video"]
    assert (await bench.published(recording_id))[-1] == "completed 2"


# Results


async def test_a_recording_that_stays_invoked_ends_as_stalled(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.sweep_and_read(TIMEOUTS.invoked_timeout - 1)
    assert await bench.published(recording_id) == ["INVOKED"]
    await bench.sweep_and_read(2)
    assert await bench.published(recording_id) == ["INVOKED", "ERRORED", "completed 0"]
    (_, change) = await bench.event_data(recording_id, "recording.status_changed.v1")
    assert change["error"]["code"] == "stalled"


async def test_a_recording_that_began_between_two_sweeps_is_not_stopped(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(TIMEOUTS.invoked_timeout + 60)
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]
    assert "change_recording" not in bench.take_operations()


async def test_a_list_that_lags_behind_does_not_cause_a_stop(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": TIMEOUTS.invoked_timeout - 5})
    recording_id = await bench.start()
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 5)
    bench.sandbox.behaviour.change({"list_lag_seconds": 60.0})
    await bench.sweep_and_read()
    assert "change_recording" not in bench.take_operations()
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


async def test_a_stalled_recording_that_begins_late_is_tracked_again(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.sweep_and_read(TIMEOUTS.invoked_timeout + 1)
    recording = bench.sandbox.recordings.index.get(recording_id)
    bench.sandbox.recordings.force(recording, "RECORDING")
    snapshot = await bench.api.get_recording(recording_id)
    await bench.observe(snapshot, "webhook")
    await bench.sweep_and_read(1)
    assert (await bench.stored(recording_id)).status is Status.RECORDING
    await bench.api.control_recording(recording_id, "stop")
    await bench.sweep_and_read(5)
    published = await bench.published(recording_id)
    assert published[:4] == ["INVOKED", "ERRORED", "completed 0", "RECORDING"]
    assert published[-4:] == ["file", "file", "file", "completed 3"]


async def test_a_stalled_recording_that_is_still_invoked_publishes_nothing(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await bench.sweep_and_read(TIMEOUTS.invoked_timeout + 1)
    snapshot = await bench.api.get_recording(recording_id)
    for _ in range(2):
        await bench.observe(snapshot, "command")
    assert await bench.published(recording_id) == ["INVOKED", "ERRORED", "completed 0"]


async def test_a_recording_that_stays_not_found_ends_as_vanished(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(2)
    recordings = bench.sandbox.recordings
    recordings.vanish(recordings.index.get(recording_id))
    await bench.sweep_and_read(1)
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]
    await bench.sweep_and_read(TIMEOUTS.vanished_after + 1)
    assert (await bench.published(recording_id))[2:] == ["ERRORED", "completed 0"]
    change = (await bench.event_data(recording_id, "recording.status_changed.v1"))[-1]
    assert change["error"]["code"] == "vanished"
    assert await bench.store.count_by_app() == {}


async def test_a_recording_that_is_not_found_for_a_moment_continues(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(2)
    bench.sandbox.behaviour.change({"list_lag_seconds": 3600.0})
    fault = Fault(kind="refuse", operation="get_recording", status=404)
    fault_id = bench.sandbox.faults.add(fault)
    await bench.sweep_and_read(1)
    bench.sandbox.faults.clear(fault_id)
    await bench.sweep_and_read(TIMEOUTS.vanished_after + 1)
    bench.sandbox.faults.add(fault)
    await bench.sweep_and_read(1)
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


async def test_one_unreadable_recording_does_not_delay_the_others(
    bench: TrackingBench,
) -> None:
    ids = [await bench.record_and_upload(meeting=str(uuid.uuid4())) for _ in range(4)]
    for status, recording_id in zip((404, 500, 400), ids, strict=False):
        bench.sandbox.faults.add(
            Fault(
                kind="refuse",
                operation="get_recording",
                recording_id=recording_id,
                status=status,
            )
        )
    await bench.sweep_and_read()
    assert (await bench.published(ids[3]))[-1] == "completed 3"
    assert {tuple(await bench.published(recording_id)) for recording_id in ids[:3]} == {
        ("INVOKED",)
    }


async def test_changes_that_a_failed_sweep_missed_are_published_by_the_next(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    bench.sandbox.clock.advance(3600)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(3600)
    bench.restart()
    await bench.sweep_and_read()
    published = await bench.published(recording_id)
    assert published == ["INVOKED", "UPLOADED", "file", "file", "file", "completed 3"]
    sequences = [change["sequence"] for change in await bench.events(recording_id)]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == len(sequences)
