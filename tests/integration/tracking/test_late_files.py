"""Files that are listed one by one, that get their URLs later, or that never appear."""

import uuid
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault, FaultKind
from recording_schemas import Kind
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench
from worker.realtimekit.fetch import fetch_recording

NOT_FOUND = Fault(kind="refuse", operation="get_recording", status=404)
ALL_THREE = ["UPLOADED", "file", "file", "file", "completed 3"]


async def upload(bench: TrackingBench, *faults: Fault, kind: Kind = "track", **start: Any) -> str:
    """Record, stop, and make the first read of the upload."""
    for fault in faults:
        bench.sandbox.faults.add(fault)
    recording_id = await bench.start(kind, **start)
    bench.sandbox.clock.advance(10)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(bench.sandbox.behaviour.uploading_seconds)
    bench.take_operations()
    await bench.sweep_and_read()
    return recording_id


def late(kind: FaultKind, seconds: float | None = None) -> Fault:
    return Fault(kind=kind, seconds=seconds)


async def pass_time(bench: TrackingBench, seconds: int, step: int = 1) -> None:
    for _ in range(0, seconds, step):
        await bench.run_due(step)


async def numbers(bench: TrackingBench, recording_id: str) -> list[tuple[int, int]]:
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    return [(file["file_index"], file["file_count"]) for file in files]


def reads(bench: TrackingBench) -> int:
    return bench.take_operations().count("get_recording")


async def test_files_that_are_listed_one_by_one_are_all_in_one_completion(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_files", 2))
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file"]

    await pass_time(bench, 10)

    assert (await bench.published(recording_id))[1:] == ALL_THREE
    assert [index for index, _ in await numbers(bench, recording_id)] == [1, 2, 3]
    assert (await numbers(bench, recording_id))[-1] == (3, 3)


@pytest.mark.parametrize("shape", ["layers", "links"])
async def test_a_list_with_a_file_for_each_stay_is_read_once(
    bench: TrackingBench, shape: str
) -> None:
    bench.sandbox.behaviour.change({"track_download_url": shape})
    recording_id = await upload(bench)
    assert (await bench.published(recording_id))[1:] == ALL_THREE

    await pass_time(bench, 300, step=5)
    await bench.run_due(2 * TIMEOUTS.files_late)

    assert bench.take_operations() == ["list_recordings", "get_recording", "list_participants"]


async def test_files_are_awaited_as_long_as_usual_while_the_api_answers_404(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_urls", 20))
    bench.sandbox.faults.add(NOT_FOUND)
    await pass_time(bench, 70, step=2)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED"]

    bench.sandbox.faults.clear()
    await pass_time(bench, 50, step=2)
    assert (await bench.published(recording_id))[1:] == ALL_THREE


async def test_an_upload_that_answers_404_forever_completes_when_the_wait_for_files_is_over(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_urls"))
    bench.sandbox.faults.add(NOT_FOUND)
    await pass_time(bench, 110, step=5)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED"]

    await pass_time(bench, 15)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "completed 0"]


async def test_a_file_is_announced_when_it_has_its_url(bench: TrackingBench) -> None:
    recording_id = await upload(bench, late("late_urls", 50))
    await pass_time(bench, 45)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED"]

    await pass_time(bench, 60)

    assert (await bench.published(recording_id))[1:] == ALL_THREE
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert all(file["download_url"] and file["custom_participant_id"] for file in files)


async def test_the_audio_of_a_composite_may_follow_its_video(bench: TrackingBench) -> None:
    recording_id = await upload(bench, late("late_audio", 7), kind="composite")
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file"]

    await pass_time(bench, 12)

    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file", "file", "completed 2"]


async def test_the_video_of_a_composite_may_follow_its_audio(bench: TrackingBench) -> None:
    recording_id = await upload(bench, late("late_urls", 7), kind="composite")

    await pass_time(bench, 12)

    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file", "file", "completed 2"]
    files = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert [file["media_kind"] for file in files] == ["audio", "video"]


@pytest.mark.parametrize("without", ["video_config", "audio_config"])
async def test_a_composite_with_each_file_that_its_start_asks_for_is_read_once(
    bench: TrackingBench, without: str
) -> None:
    recording_id = await upload(bench, kind="composite", **{without: {"export_file": False}})
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file", "completed 1"]

    await bench.run_due(2 * TIMEOUTS.files_late)

    assert reads(bench) == 1


async def test_the_missing_audio_of_a_composite_is_looked_for_a_last_time(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_audio", 400), kind="composite")
    await pass_time(bench, 10)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file", "completed 1"]

    await bench.run_due(TIMEOUTS.files_late)

    assert (await bench.published(recording_id))[-2:] == ["file", "completed 2"]


async def test_a_list_that_lacks_a_file_completes_when_it_has_settled(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_files"))
    await pass_time(bench, 9)
    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file"]

    await pass_time(bench, 1)

    assert (await bench.published(recording_id))[1:] == ["UPLOADED", "file", "completed 1"]
    assert bench.take_operations().count("list_participants") == 1


async def test_a_list_that_changes_on_and_on_completes_after_the_wait(
    bench: TrackingBench,
) -> None:
    people = [f"person-{number}" for number in range(40)]
    bench.sandbox.meetings.create(bench.meeting, participants=people)
    recording_id = await upload(bench, late("late_files", 8))
    await pass_time(bench, 119)
    assert not any("completed" in event for event in await bench.published(recording_id))

    await pass_time(bench, 1)

    assert "completed" in (await bench.published(recording_id))[-1]
    await pass_time(bench, 300, step=10)
    published = await bench.published(recording_id)
    assert published.count("file") == 40
    assert published[-1] == "completed 40"


async def test_an_expected_file_that_is_missing_is_looked_for_a_last_time(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_files", 1000))
    await pass_time(bench, 10)
    assert reads(bench) == 3
    bench.restart()

    await bench.run_due(TIMEOUTS.files_late - 1)
    assert reads(bench) == 0
    await bench.run_due(1)

    assert (await bench.published(recording_id))[1:] == [
        "UPLOADED",
        "file",
        "completed 1",
        "file",
        "file",
        "completed 3",
    ]
    await pass_time(bench, 60)
    await bench.run_due(2 * TIMEOUTS.files_late)
    assert reads(bench) == 1
    assert len({event["id"] for event in await bench.events(recording_id)}) == 7


@pytest.mark.parametrize("failures", [1, 3])
async def test_the_last_read_is_repeated_until_the_owners_of_its_files_can_be_read(
    bench: TrackingBench, failures: int
) -> None:
    recording_id = await upload(bench, late("late_files", 60))
    await pass_time(bench, 10)
    assert (await bench.published(recording_id))[-1] == "completed 1"
    bench.sandbox.faults.add(
        Fault(kind="refuse", operation="list_participants", status=503, count=failures)
    )
    bench.sandbox.clock.advance(TIMEOUTS.files_late - 5)
    await pass_time(bench, 30)
    assert (await bench.published(recording_id))[-3:] == ["file", "file", "completed 3"]
    bench.take_operations()
    await pass_time(bench, 30)
    assert bench.take_operations() == []


async def test_the_last_read_changes_nothing_if_it_finds_no_further_file(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("late_files"))
    await pass_time(bench, 10)
    before = await bench.events(recording_id)

    await bench.run_due(TIMEOUTS.files_late)
    await bench.run_due(10 * TIMEOUTS.files_late)

    assert await bench.events(recording_id) == before
    assert reads(bench) == 4


async def test_files_that_trickle_in_after_the_completion_are_all_announced(
    bench: TrackingBench,
) -> None:
    recording_id = await upload(bench, late("no_files", 200), late("late_files", 250))
    await pass_time(bench, 600, step=10)

    published = await bench.published(recording_id)

    assert published[1:3] == ["UPLOADED", "completed 0"]
    assert published.count("file") >= 1
    await bench.run_due(TIMEOUTS.files_late)
    published = await bench.published(recording_id)
    assert published.count("file") == 3
    assert published[-1] == "completed 3"


async def test_a_sync_publishes_a_later_file_and_a_new_completion(bench: TrackingBench) -> None:
    recording_id = await upload(bench, late("late_files", 100))
    await pass_time(bench, 150)

    known = await bench.stored(recording_id)
    observation = await fetch_recording(
        bench.api, recording_id, known, app="default", observed_by="command", now=bench.now
    )
    await bench.store.apply([observation])

    assert (await bench.published(recording_id))[-3:] == ["completed 1", "file", "completed 2"]


async def test_each_stay_of_a_requested_user_is_waited_for(bench: TrackingBench) -> None:
    meeting = str(uuid.uuid4())
    bench.sandbox.meetings.create(meeting, participants=["ada", "bob"])
    ada, _ = bench.sandbox.meetings.get(meeting).participants
    bench.sandbox.faults.add(late("late_files", 3))
    recording_id = await bench.start(meeting=meeting, user_ids=[ada])
    bench.sandbox.clock.advance(5)
    bench.sandbox.meetings.rejoin(meeting, ada)
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(recording_id, "stop")

    await pass_time(bench, 15)

    assert (await bench.published(recording_id))[-3:] == ["file", "file", "completed 2"]
