"""Many recordings end together: the cost of their ends and files, and the order of events.

The API is the emulated one. Where its documentation allows several answers, a transport changes the
answer.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import httpx
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Kind, Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, client
from tests.plain_http import NO_AUTHORITIES
from worker.domain.errors import ApiError

Change = Callable[[httpx.QueryParams, Callable[[httpx.QueryParams], Any]], Any]
"""Answers a list request with this query; the callable has the emulated API answer."""


async def started(bench: TrackingBench, count: int, kind: Kind) -> list[str]:
    """Start recordings one second apart; a sweep has seen them as RECORDING."""
    ids = []
    for _ in range(count):
        ids.append(await bench.start(kind, meeting=str(uuid.uuid4())))
        bench.sandbox.clock.advance(1)
    await bench.run_due(10)
    assert await last_published(bench, ids) == {"RECORDING"}
    bench.take_operations()
    return ids


async def end(bench: TrackingBench, ids: list[str]) -> None:
    for recording_id in ids:
        await bench.api.control_recording(recording_id, "stop")
        bench.sandbox.clock.advance(0.5)
    bench.sandbox.clock.advance(10)
    bench.take_operations()


async def settle(bench: TrackingBench) -> None:
    """Sweep and read until nothing is due."""
    for _ in range(5):
        await bench.run_due(60)


async def published(bench: TrackingBench) -> dict[str, list[str]]:
    """Statuses, files and completions of each recording, in the order of their publication."""
    summaries: dict[str, list[str]] = {}
    for event in await bench.events():
        data = event["data"]
        summary = str(data["status"]) if event["type"].startswith("recording.status") else "file"
        if event["type"].startswith("recording.completed"):
            summary = f"completed {data['file_count']}"
        summaries.setdefault(event["subject"], []).append(summary)
    return summaries


async def last_published(bench: TrackingBench, ids: Iterable[str]) -> set[str]:
    """The summaries of the last event of each of these recordings."""
    summaries = await published(bench)
    return {summaries[recording_id][-1] for recording_id in ids}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=NO_AUTHORITIES) as opened:
        yield opened


class Refusal(Exception):
    """The API answers a list request with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def answer(self) -> httpx.Response:
        error = {"code": self.status, "message": "no"}
        return httpx.Response(self.status, json={"success": False, "error": error})


def list_answering(bench: TrackingBench, http: httpx.Client, change: Change) -> None:
    """Restart the trackers with an API whose lists are changed, or refused."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"authorization": request.headers["authorization"]}

        def list_from_sandbox(params: httpx.QueryParams) -> Any:
            return http.get(request.url.copy_with(params=params), headers=headers).json()

        if request.url.path.endswith("/recordings"):
            try:
                return httpx.Response(200, json=change(request.url.params, list_from_sandbox))
            except Refusal as refusal:
                return refusal.answer()
        again = http.request(request.method, request.url, headers=headers, content=request.content)
        return httpx.Response(again.status_code, content=again.content)

    async def in_thread(request: httpx.Request) -> httpx.Response:
        return await asyncio.to_thread(answer, request)

    transport = httpx.MockTransport(in_thread)
    bench.restart(client(base_url=bench.sandbox.base_url, transport=transport))


def without(*names: str) -> Change:
    """An API that ignores these parameters."""

    def change(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
        for name in names:
            params = params.remove(name)
        return list_page(params)

    return change


def other_times(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
    """An API that compares the times of the query with the meeting's, long before."""
    page = list_page(params)
    if "start_time" in params:
        page["data"], page["paging"] = [], {"total_count": 0, "start_offset": 0, "end_offset": 0}
    return page


def without_paging(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
    page = list_page(params)
    page["paging"] = {}
    return page


def without_row_fields(*names: str) -> Change:
    def change(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
        page = list_page(params)
        for row in page["data"]:
            for name in names:
                row.pop(name, None)
        return page

    return change


# The cost


async def test_ends_of_a_hundred_recordings_cost_one_list(bench: TrackingBench) -> None:
    ids = await started(bench, 90, "track")
    await end(bench, ids)
    await bench.sweep.sweep()
    assert (
        bench.take_operations() == ["list_recordings"] * 2
    )  # of live recordings, then of ended ones
    assert await last_published(bench, ids) == {"UPLOADED"}


async def test_composites_whose_files_a_list_shows_are_not_read(bench: TrackingBench) -> None:
    ids = await started(bench, 60, "composite")
    await end(bench, ids)
    await bench.sweep_and_read()
    assert bench.take_operations() == ["list_recordings"] * 2
    for events in (await published(bench)).values():
        assert events[-4:] == ["UPLOADED", "file", "file", "completed 2"]


async def test_tracks_whose_files_a_list_shows_need_only_the_participants(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"list_track_urls": True})
    ids = await started(bench, 20, "track")
    await end(bench, ids)
    await bench.sweep_and_read()
    asked = bench.take_operations()
    assert asked.count("list_participants") == 20
    assert "get_recording" not in asked
    for recording_id in ids:
        assert (await bench.published(recording_id))[-1] == "completed 3"
        files = await bench.event_data(recording_id, "recording.file_ready.v1")
        assert all(file["participant"] and file["download_url"] for file in files)


@pytest.mark.parametrize("read_after", [0, TIMEOUTS.files_wait + 10])
async def test_a_list_that_shows_some_of_the_tracks_does_not_complete_a_recording(
    bench: TrackingBench, read_after: float
) -> None:
    bench.sandbox.behaviour.change({"list_track_urls": True})
    ids = await started(bench, 12, "track")
    bench.sandbox.faults.add(Fault(kind="late_files", seconds=20))
    await end(bench, ids)
    await bench.sweep.sweep()
    bench.sandbox.clock.advance(read_after)
    await bench.refresher.read_due()
    assert await last_published(bench, ids) == {"completed 3" if read_after else "file"}
    await settle(bench)
    assert await last_published(bench, ids) == {"completed 3"}


async def test_only_the_replica_that_reads_keeps_the_files_that_a_list_shows(
    bench: TrackingBench,
) -> None:
    bench.sandbox.behaviour.change({"list_track_urls": True})
    ids = await started(bench, 10, "track")
    await end(bench, ids)
    await bench.sweep.sweep()
    asked = asyncio.Event()

    def is_leader() -> bool:
        asked.set()
        return False

    running = asyncio.create_task(bench.refresher.run(is_leader))
    await asked.wait()
    running.cancel()
    assert [bench.shown_files.take(recording_id) for recording_id in ids] == [None] * 10


async def test_few_ends_are_read_without_another_list(bench: TrackingBench) -> None:
    ids = await started(bench, 40, "track")
    await end(bench, ids[::8])
    await bench.sweep_and_read()
    asked = bench.take_operations()
    assert asked.count("list_recordings") == 1
    assert asked.count("get_recording") == 5


async def test_times_without_an_invoked_recording_are_skipped(bench: TrackingBench) -> None:
    early = await started(bench, 10, "composite")
    for recording_id in await started(bench, 110, "composite"):
        bench.sandbox.recordings.force(bench.sandbox.recordings.index.get(recording_id), "UPLOADED")
    await settle(bench)
    late = await started(bench, 10, "composite")
    await end(bench, [*early, *late])
    await bench.sweep_and_read()
    asked = bench.take_operations()
    # The list of live recordings, then the first page of each of the two times.
    assert asked == ["list_recordings"] * 3
    assert await last_published(bench, (*early, *late)) == {"completed 2"}


# Unusual lists


API_FORMS = {
    "as documented": without(),
    "ignores times": without("start_time", "end_time"),
    "compares other times": other_times,
    "ignores the order": without("sort_by", "sort_order"),
    "ignores the page number": without("page_no"),
    "ignores times, order and status": without(
        "start_time", "end_time", "sort_by", "sort_order", "status"
    ),
    "gives no paging": without_paging,
    "gives no times": without_row_fields("invoked_time", "stopped_time", "started_time"),
    "gives no files": without_row_fields("download_url", "audio_download_url"),
    "gives no file names": without_row_fields("output_file_name"),
}


@pytest.mark.parametrize("form", API_FORMS)
@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_every_end_is_published_once_with_any_kind_of_list(
    bench: TrackingBench, http: httpx.Client, form: str, kind: Kind
) -> None:
    ids = await started(bench, 12, kind)
    bench.sandbox.behaviour.change({"max_per_page": 3})
    list_answering(bench, http, API_FORMS[form])
    await bench.sweep.sweep()
    ended = ids[::3] + ids[1::3]
    await end(bench, ended)
    await settle(bench)
    files = 3 if kind == "track" else 2
    full_life = ["UPLOADED", *["file"] * files, f"completed {files}"]
    for recording_id, events in (await published(bench)).items():
        later = [event for event in events[2:] if event != "UPLOADING"]
        assert later == (full_life if recording_id in ended else [])
    assert await bench.store.count_by_app() == {"default": len(ids) - len(ended)}


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("refused", ["start_time", "UPLOADED"])
async def test_a_sweep_completes_although_the_api_refuses_the_list_of_ended_recordings(
    bench: TrackingBench, http: httpx.Client, refused: str, status: int
) -> None:
    ids = await started(bench, 30, "composite")
    bench.sandbox.behaviour.change({"max_per_page": 5})

    def refusing(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
        if refused in params or refused in params.get("status", ""):
            raise Refusal(status)
        return list_page(params)

    list_answering(bench, http, refusing)
    await bench.sweep.sweep()
    paused, ended = ids[:5], ids[5:]
    for recording_id in paused:
        await bench.api.control_recording(recording_id, "pause")
    await end(bench, ended)
    await bench.sweep.sweep()
    assert await last_published(bench, paused) == {"PAUSED"}
    asked = bench.take_operations()
    await settle(bench)
    assert await last_published(bench, ended) == {"completed 2"}
    assert asked.count("list_recordings") <= 12


@pytest.mark.parametrize(("status", "is_tried"), [(503, True), (422, False)])
async def test_a_sweep_tries_a_list_by_time_again_after_an_outage_but_not_after_a_refusal(
    bench: TrackingBench, http: httpx.Client, status: int, is_tried: bool
) -> None:
    by_time: list[bool] = []

    def refusing(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
        by_time.append("start_time" in params)
        if len(by_time) > 1 and sum(by_time) == 1 and by_time[-1]:
            raise Refusal(status)
        return list_page(params)

    ids = await started(bench, 12, "composite")
    await end(bench, ids)
    list_answering(bench, http, refusing)
    await bench.sweep.sweep()
    by_time.clear()
    await bench.sweep.sweep()
    assert any(by_time) is is_tried


async def test_recordings_that_end_while_the_lists_are_read_are_found(
    bench: TrackingBench, http: httpx.Client
) -> None:
    ids = await started(bench, 60, "composite")
    bench.sandbox.behaviour.change({"max_per_page": 10})
    to_end = iter(ids)

    def ending(params: httpx.QueryParams, list_page: Callable[[httpx.QueryParams], Any]) -> Any:
        for recording_id in [next_id for _, next_id in zip(range(7), to_end, strict=False)]:
            recording = bench.sandbox.recordings.index.get(recording_id)
            bench.sandbox.recordings.force(recording, "UPLOADED")
        return list_page(params)

    list_answering(bench, http, ending)
    await settle(bench)
    assert await last_published(bench, ids) == {"completed 2"}
    assert bench.take_operations().count("get_recording") <= 20


async def test_a_recording_that_neither_list_has_is_read(bench: TrackingBench) -> None:
    ids = await started(bench, 20, "composite")
    vanished, *others = ids
    await end(bench, others)
    recordings = bench.sandbox.recordings
    recordings.vanish(recordings.index.get(vanished))
    await bench.run_due(10)
    for _ in range(4):
        await bench.run_due(TIMEOUTS.vanished_after)
    (*_, change) = await bench.event_data(vanished, "recording.status_changed.v1")
    assert change["error"]["code"] == "vanished"
    assert await last_published(bench, others) == {"completed 2"}


async def test_an_error_is_published_with_its_reason_although_the_list_gives_none(
    bench: TrackingBench, http: httpx.Client
) -> None:
    ids = await started(bench, 15, "track")
    list_answering(bench, http, without_row_fields("err_message"))
    bench.sandbox.faults.add(Fault(kind="fails_to_upload"))
    await end(bench, ids)
    await settle(bench)
    for recording_id in ids:
        (*_, change) = await bench.event_data(recording_id, "recording.status_changed.v1")
        assert change["error"]["message"] == "the upload failed"


async def test_a_list_with_ended_recordings_does_not_replace_the_last_read_for_files(
    bench: TrackingBench, http: httpx.Client
) -> None:
    ended, _live = await started(bench, 2, "track")
    bench.sandbox.faults.add(Fault(kind="late_files", seconds=1000))
    await end(bench, [ended])
    for _ in range(13):
        await bench.run_due(1)
    assert await last_published(bench, [ended]) == {"completed 1"}
    list_answering(bench, http, without("status"))
    await bench.sweep_and_read(TIMEOUTS.files_late)
    assert await last_published(bench, [ended]) == {"completed 3"}


# The order of reads


async def test_files_are_read_in_the_order_of_ending(bench: TrackingBench) -> None:
    ids = await started(bench, 40, "track")
    order = [*ids[::2], *ids[1::2]]
    await end(bench, order)
    await bench.sweep.sweep()
    states = [await bench.stored(recording_id) for recording_id in ids]
    assert {state.status for state in states} == {Status.UPLOADED}
    await bench.refresher.read_due()
    events = [event for event in await bench.events() if event["type"] == "recording.completed.v1"]
    completed = [event["subject"] for event in events]
    # Eight are read at a time, in the order of their priority.
    assert all(
        abs(completed.index(recording_id) - place) <= 8 for place, recording_id in enumerate(order)
    )
    uploaded = [
        event["subject"]
        for event in await bench.events()
        if event["data"].get("status") == "UPLOADED"
    ]
    assert [key for key, _ in groupby(uploaded)][: len(order)] == order


async def test_ends_that_a_sweep_finds_do_not_wait_for_the_files_of_thousands(
    bench: TrackingBench,
) -> None:
    uploads = await started(bench, 60, "track")
    others = await started(bench, 6, "track")
    await end(bench, uploads)
    for recording_id in uploads:
        await bench.apply_webhook(recording_id, Status.UPLOADED)
    await end(bench, others)
    await bench.sweep.sweep()
    await bench.refresher.read_due()
    subjects = [
        event["subject"]
        for event in await bench.events()
        if event["type"] == "recording.completed.v1"
    ]
    last = max(subjects.index(recording_id) for recording_id in others)
    assert last < 30
    assert sorted(subjects) == sorted([*uploads, *others])


# Applications that follow all recordings


async def test_a_costly_list_of_all_that_ended_is_read_more_rarely_and_loses_nothing(
    bench: TrackingBench,
) -> None:
    bench.restart(follow_all=True)
    await bench.sweep_and_read()
    bench.sandbox.behaviour.change({"max_per_page": 5})
    ids = await started(bench, 50, "composite")
    await end(bench, ids)
    await bench.sweep_and_read()
    costs = []
    for _ in range(6):
        await bench.sweep_and_read(10)
        costs.append(len(bench.take_operations()))
    assert sorted(costs)[:3] == [1, 1, 1]
    foreign = await _started_by_others(bench)
    bench.sandbox.clock.advance(30)
    for _ in range(13):
        await bench.sweep_and_read(10)
    assert (await bench.published(foreign))[-1].startswith("completed")
    assert await last_published(bench, ids) == {"completed 2"}


async def test_a_costly_list_that_failed_half_way_is_read_by_the_next_sweep(
    bench: TrackingBench,
) -> None:
    bench.restart(follow_all=True)
    await bench.sweep_and_read()
    bench.sandbox.behaviour.change({"max_per_page": 5})
    await end(bench, await started(bench, 50, "composite"))
    for _ in range(3):
        await bench.sweep_and_read(10)
    on_second_page, *_ = [await _started_by_others(bench) for _ in range(6)]
    bench.sandbox.clock.advance(130)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", skip=2, count=1))
    with pytest.raises(ApiError):
        await bench.sweep.sweep()
    assert await bench.published(on_second_page) == []
    await bench.sweep_and_read(10)
    assert (await bench.published(on_second_page))[-1].startswith("completed")


async def _started_by_others(bench: TrackingBench) -> str:
    """A composite that began and ended between two sweeps."""
    snapshot = await bench.api.start_composite_recording({"meeting_id": str(uuid.uuid4())})
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(snapshot.recording_id, "stop")
    bench.sandbox.clock.advance(5)
    return snapshot.recording_id
