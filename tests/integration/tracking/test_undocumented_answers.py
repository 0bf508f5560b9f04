"""Undocumented answers of the API affect no recording, no event and no other meeting.

The API is the emulated one. A connection in between alters its answers.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.altered_answers import Alter, altered_client, rows_of
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.broker.messages import Ack, Retry
from worker.domain.times import utc
from worker.realtimekit.client import RealtimeKitClient

NO_TIMES = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59-14:00"]
"""Values that services write if there is no time."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
async def tracking(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


def setting(**fields: Any) -> Alter:
    """An API that gives these fields to every recording."""

    def alter(_request: httpx.Request, body: Any) -> None:
        for row in rows_of(body):
            row.update(fields)

    return alter


# Times


async def expect_one_recording_if_the_answer_is_lost(bench: CommandBench, alter: Alter) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    async with aclosing(altered_client(bench.sandbox.base_url, alter)) as api:
        bench.handler = bench.new_handler(api)
        assert isinstance(await bench.send(bench.start()), Retry)
        bench.pass_time(31)  # from now on a start that is not found is called again
        assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


@pytest.mark.parametrize("no_time", NO_TIMES)
async def test_a_recording_that_is_listed_without_a_plausible_time_is_not_started_again(
    bench: CommandBench, no_time: str
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await expect_one_recording_if_the_answer_is_lost(bench, setting(invoked_time=no_time))


@pytest.mark.parametrize("no_time", NO_TIMES)
async def test_recordings_without_a_plausible_times_end_together(
    tracking: TrackingBench, no_time: str
) -> None:
    times = dict.fromkeys(("invoked_time", "started_time", "stopped_time"), no_time)
    async with aclosing(altered_client(tracking.sandbox.base_url, setting(**times))) as api:
        tracking.api = api
        tracking.restart()
        ids = [await tracking.start(meeting=str(uuid.uuid4())) for _ in range(12)]
        await tracking.run_due(10)
        for recording_id in ids:
            await api.control_recording(recording_id, "stop")
        tracking.sandbox.clock.advance(10)
        for _ in range(3):
            await tracking.run_due(60)
        ended = [await tracking.stored(recording_id) for recording_id in ids]
        assert {recording.status for recording in ended} == {Status.UPLOADED}


# Files


def list_each_file_twice(_request: httpx.Request, body: Any) -> None:
    """Every file has two entries with separately signed URLs."""
    for row in rows_of(body):
        layers = row.get("download_url")
        if not isinstance(layers, list):
            continue
        for layer in list(layers):
            urls = {
                name: {**entry, "download_url": f"{entry['download_url']}&signed=again"}
                for name, entry in layer["download_urls"].items()
            }
            layers.append({**layer, "download_urls": urls})


async def test_a_file_that_is_listed_twice_is_published_once(tracking: TrackingBench) -> None:
    async with aclosing(altered_client(tracking.sandbox.base_url, list_each_file_twice)) as api:
        tracking.api = api
        tracking.restart()
        recording_id = await tracking.record_and_upload()
        for _ in range(3):
            await tracking.run_due(60)
        published = await tracking.published(recording_id)
    assert published[-4:] == ["file", "file", "file", "completed 3"]
    assert published.count("file") == 3


def naming_later(*, sound: str | None) -> Alter:
    """From the third read on, a composite has its name, and the URL of its sound."""
    reads = 0

    def alter(request: httpx.Request, body: Any) -> None:
        nonlocal reads
        reads += request.method == "GET" and "meeting_id" not in request.url.params
        for row in rows_of(body):
            if row["status"] == "UPLOADED":
                row["output_file_name"] = None if reads < 3 else "weekly sync.mp4"
                row["audio_download_url"] = None if reads < 3 else sound

    return alter


async def test_a_composites_file_keeps_its_name_if_the_api_names_the_recording_later(
    tracking: TrackingBench,
) -> None:
    alter = naming_later(sound="https://files.test/sound.mp3")
    async with aclosing(altered_client(tracking.sandbox.base_url, alter)) as api:
        tracking.api = api
        tracking.restart()
        recording_id = await tracking.record_and_upload("composite")
        for _ in range(30):
            await tracking.run_due(5)
        files = await tracking.event_data(recording_id, "recording.file_ready.v1")
    assert [file["media_kind"] for file in files] == ["video", "audio"]
    assert (await tracking.published(recording_id))[-1] == "completed 2"


async def test_a_composite_that_the_api_names_later_completes_when_its_list_has_settled(
    tracking: TrackingBench,
) -> None:
    alter = naming_later(sound=None)
    async with aclosing(altered_client(tracking.sandbox.base_url, alter)) as api:
        tracking.api = api
        tracking.restart()
        recording_id = await tracking.record_and_upload("composite")
        for _ in range(8):
            await tracking.run_due(5)
        assert (await tracking.published(recording_id))[-1] == "completed 1"


async def test_a_track_with_a_plain_url_is_a_file_of_sound(tracking: TrackingBench) -> None:
    alter = setting(download_url="https://files.test/tracks/one.webm?signature=1")
    async with aclosing(altered_client(tracking.sandbox.base_url, alter)) as api:
        tracking.api = api
        tracking.restart()
        recording_id = await tracking.record_and_upload()
        for _ in range(30):
            await tracking.run_due(5)
        (file,) = await tracking.event_data(recording_id, "recording.file_ready.v1")
    assert (file["file_name"], file["media_kind"]) == ("one.webm", "audio")


# Answers about other recordings


@pytest.mark.parametrize(
    ("status", "age"), [("RECORDING", None), ("INVOKED", None), ("INVOKED", 0.02)]
)
@pytest.mark.parametrize("of_start", ["start-1", None])
async def test_a_start_that_is_answered_with_a_running_recording_succeeds_unless_it_is_of_another(
    bench: CommandBench, of_start: str | None, status: str, age: float | None
) -> None:
    """The recording of another start is a conflict. One that no start began may be our own."""
    if of_start:
        await bench.send(bench.start(of_start))
    else:
        await bench.api.start_track_recording({"meeting_id": bench.meeting})
    running = bench.started()[-1].recording_id
    bench.pass_time(5)
    row = {"id": running, "meeting_id": bench.meeting, "status": status, "type": "TRACK"}
    if age is not None:
        row["invoked_time"] = utc(bench.store.now() - age).isoformat(timespec="milliseconds")

    def answer_with_running(request: httpx.Request, body: Any) -> None:
        if request.method == "POST":
            body["data"] = {"recording": row}

    async with aclosing(altered_client(bench.sandbox.base_url, answer_with_running)) as api:
        bench.handler = bench.new_handler(api)
        assert await bench.send(bench.start("start-2")) == Ack()
    data = (await bench.outcome("start-2"))["data"]
    if of_start:
        assert (data["code"], data["http_status"]) == ("already_recording", None)
    else:
        assert data["recording_ids"] == [running]


async def record_elsewhere(bench: CommandBench) -> str:
    """Another program's new recording in another meeting. Returns its id."""
    body = {"meeting_id": str(uuid.uuid4())}
    return (await bench.api.start_track_recording(body)).recording_id


async def status_of(api: RealtimeKitClient, recording_id: str) -> Status:
    return (await api.get_recording(recording_id)).status


async def test_a_start_that_is_answered_with_the_recording_of_another_meeting_adopts_its_own(
    bench: CommandBench,
) -> None:
    elsewhere = await record_elsewhere(bench)
    other_meeting = bench.started()[-1].meeting_id

    def answer_with_the_other(request: httpx.Request, body: Any) -> None:
        if request.method == "POST":
            body["data"]["recording"] |= {"id": elsewhere, "meeting_id": other_meeting}

    async with aclosing(altered_client(bench.sandbox.base_url, answer_with_the_other)) as api:
        bench.handler = bench.new_handler(api)
        assert isinstance(await bench.send(bench.start()), Retry)
        assert await bench.send(bench.start()) == Ack()
    own = bench.started()[-1].recording_id
    assert (await bench.outcome())["data"]["recording_ids"] == [own] != [elsewhere]
    assert len(bench.started()) == 2


def first_list_of_another_meeting() -> Alter:
    lists = 0

    def alter(request: httpx.Request, body: Any) -> None:
        nonlocal lists
        if request.method == "GET" and rows_of(body):
            lists += 1
            for row in rows_of(body) if lists == 1 else ():
                row |= {"id": str(uuid.uuid4()), "meeting_id": str(uuid.uuid4())}

    return alter


async def test_a_list_of_other_meetings_alone_does_not_prove_that_a_start_was_not_executed(
    bench: CommandBench,
) -> None:
    alter = first_list_of_another_meeting()
    async with aclosing(altered_client(bench.sandbox.base_url, alter)) as api:
        bench.handler = bench.new_handler(api)
        bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
        assert isinstance(await bench.send(bench.start()), Retry)
        bench.pass_time(60)
        assert await bench.send(bench.start()) == Ack()
    (own,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [own.recording_id]


async def test_a_list_of_other_meetings_alone_does_not_end_a_stop_of_a_meeting(
    bench: CommandBench,
) -> None:
    running = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.pass_time(5)
    alter = first_list_of_another_meeting()
    async with aclosing(altered_client(bench.sandbox.base_url, alter)) as api:
        bench.handler = bench.new_handler(api)
        stop = {"type": "stop_recording", "id": "stop-1", "meeting_id": bench.meeting}
        assert await bench.send(stop) == Ack()
    stopped = (await bench.outcome("stop-1"))["data"]["recording_ids"]
    assert stopped == [running.recording_id]


async def test_a_stop_of_a_meeting_stops_no_other_if_the_api_ignores_which_meeting_is_meant(
    bench: CommandBench,
) -> None:
    async with aclosing(altered_client(bench.sandbox.base_url, ignores=["meeting_id"])) as api:
        bench.handler = bench.new_handler(api)
        elsewhere = await record_elsewhere(bench)
        await bench.send(bench.start())
        bench.pass_time(5)
        stop = {"type": "stop_recording", "id": "stop-1", "meeting_id": bench.meeting}
        assert await bench.send(stop) == Ack()
    own = bench.started()[-1].recording_id
    assert (await bench.outcome("stop-1"))["data"]["recording_ids"] == [own]
    assert await status_of(bench.api, elsewhere) is Status.RECORDING


async def test_a_start_adopts_no_recording_of_another_meeting(bench: CommandBench) -> None:
    async with aclosing(altered_client(bench.sandbox.base_url, ignores=["meeting_id"])) as api:
        bench.handler = bench.new_handler(api)
        bench.sandbox.faults.add(Fault(kind="reset", operation="start*", count=1))
        assert isinstance(await bench.send(bench.start()), Retry)  # it was not executed
        elsewhere = await record_elsewhere(bench)
        bench.pass_time(31)
        assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["data"]["recording_ids"] != [elsewhere]


async def test_an_action_on_a_meeting_leaves_out_ended_recordings_if_the_api_ignores_the_statuses(
    bench: CommandBench,
) -> None:
    async with aclosing(altered_client(bench.sandbox.base_url, ignores=["status"])) as api:
        bench.handler = bench.new_handler(api)
        await bench.send(bench.start("start-1"))
        bench.pass_time(5)
        await bench.send({"type": "stop_recording", "id": "stop-1", "start_id": "start-1"})
        bench.pass_time(60)
        await bench.send(bench.start("start-2"))
        bench.pass_time(5)
        pause = {"type": "pause_recording", "id": "pause-1", "meeting_id": bench.meeting}
        assert await bench.send(pause) == Ack()
    own = bench.started()[-1].recording_id
    assert (await bench.outcome("pause-1"))["data"]["recording_ids"] == [own]


async def test_no_recording_of_the_past_is_adopted_if_the_api_ignores_the_statuses(
    tracking: TrackingBench,
) -> None:
    past = (await tracking.api.start_track_recording({"meeting_id": tracking.meeting})).recording_id
    tracking.sandbox.clock.advance(10)
    await tracking.api.control_recording(past, "stop")
    tracking.sandbox.clock.advance(3600)
    async with aclosing(altered_client(tracking.sandbox.base_url, ignores=["status"])) as api:
        tracking.restart(api, follow_all=True)
        await tracking.run_due(10)
    assert await tracking.events() == []


async def test_an_action_whose_answer_writes_the_id_in_another_form_concerns_the_same_recording(
    tracking: TrackingBench,
) -> None:
    def without_hyphens(request: httpx.Request, body: Any) -> None:
        if request.method == "PUT":
            body["data"]["id"] = body["data"]["id"].replace("-", "").upper()

    async with aclosing(altered_client(tracking.sandbox.base_url, without_hyphens)) as api:
        recording_id = await tracking.start()
        tracking.sandbox.clock.advance(10)
        stopped = await api.control_recording(recording_id, "stop")
    assert stopped.recording_id == recording_id


# Pages without their places


def without_paging(_request: httpx.Request, body: Any) -> None:
    body.pop("paging", None)
    if isinstance(body["data"], dict):
        body["data"].pop("paging", None)


@pytest.mark.parametrize("first_page", [0, 1])
async def test_a_start_whose_answer_is_lost_starts_no_other_if_pages_show_no_place(
    bench: CommandBench, first_page: int
) -> None:
    bench.sandbox.behaviour.change({"first_page": first_page})
    await expect_one_recording_if_the_answer_is_lost(bench, without_paging)


@pytest.mark.parametrize("first_page", [0, 1])
async def test_all_recordings_are_followed_if_pages_show_no_place(
    tracking: TrackingBench, first_page: int
) -> None:
    tracking.sandbox.behaviour.change({"first_page": first_page, "max_per_page": 7})
    async with aclosing(altered_client(tracking.sandbox.base_url, without_paging)) as api:
        tracking.restart(api)
        ids = [await tracking.start(meeting=str(uuid.uuid4())) for _ in range(20)]
        await tracking.sweep_and_read(2)
        await tracking.run_due(10)
        await api.control_recording(ids[0], "stop")
        for _ in range(4):
            await tracking.run_due(10)
    assert {tuple(await tracking.published(recording_id)) for recording_id in ids[1:]} == {
        ("INVOKED", "RECORDING")
    }
    assert tracking.take_operations().count("get_recording") == 1  # the lists show the others
    assert (await tracking.published(ids[0]))[-1].startswith("completed")


# Rows that cannot be read


def hide_ids(request: httpx.Request, body: Any) -> None:
    """A list whose recordings have ids of another type."""
    if isinstance(body.get("data"), list):
        for row in rows_of(body):
            row["id"] = 7


async def test_a_start_is_not_called_again_while_its_recording_may_be_one_without_a_readable_id(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    async with aclosing(altered_client(bench.sandbox.base_url, hide_ids)) as api:
        bench.handler = bench.new_handler(api)
        for _ in range(3):
            settlement = await bench.send(bench.start())
            bench.pass_time(31)
    assert isinstance(settlement, Retry)
    assert len(bench.started()) == 1
