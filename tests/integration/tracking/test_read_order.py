"""The order in which due recordings are read, and the number of concurrent reads."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.log_entries import RequestEntry
from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, client
from tests.plain_http import NO_AUTHORITIES
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.retry import RequestRetry
from worker.tracking.refresher import (
    MAX_CONCURRENT_READS,
    OTHER_GROUP,
    OTHER_SPACING_SECONDS,
)


async def test_files_do_not_wait_for_hundreds_of_overdue_reads(bench: TrackingBench) -> None:
    upload = await bench.start()
    await bench.run_due(2)
    stuck = bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    many = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(5 * MAX_CONCURRENT_READS)]
    bench.sandbox.faults.clear(stuck)
    await bench.api.control_recording(upload, "stop")
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 1)
    await bench.apply_webhook(upload, Status.UPLOADED)
    await bench.sweep.sweep()
    await bench.refresher.read_due()
    subjects = [change["subject"] for change in await bench.events()]
    timed_out = [change["data"].get("error") is not None for change in await bench.events()]
    completed_at = len(subjects) - 1 - subjects[::-1].index(upload)
    assert sum(timed_out[:completed_at]) < 2 * MAX_CONCURRENT_READS
    assert sum(timed_out) == len(many)


async def test_reads_of_recordings_whose_files_nobody_awaits_do_not_begin_all_at_once(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    group = OTHER_GROUP
    ids = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(group + 1)]
    bench.sandbox.clock.advance(TIMEOUTS.invoked_timeout + 1)
    await bench.sweep.sweep()
    bench.take_operations()
    began = time.monotonic()
    await bench.refresher.read_due()
    assert time.monotonic() - began >= group * OTHER_SPACING_SECONDS
    assert bench.take_operations().count("get_recording") == len(ids)


def read_ids(bench: TrackingBench) -> list[str]:
    """The ids in all GETs of recordings so far."""
    return [
        entry.recording_id or ""
        for entry in bench.sandbox.request_log.entries()
        if isinstance(entry, RequestEntry) and entry.operation == "get_recording"
    ]


class SlowApi:
    """An API that delays the reads of some recordings, and counts the reads in flight."""

    def __init__(self, *recordings: str) -> None:
        self.recordings = recordings
        self.release_reads = asyncio.Event()
        self.in_flight = self.max_in_flight = 0
        self.transport = httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.rpartition("/")[2] in self.recordings:
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            await self.release_reads.wait()
            self.in_flight -= 1
        authorization = {"authorization": request.headers["authorization"]}
        async with httpx.AsyncClient(headers=authorization, verify=NO_AUTHORITIES) as upstream:
            answer = await upstream.request(request.method, request.url)
        return httpx.Response(answer.status_code, content=answer.content)


@asynccontextmanager
async def refreshing(bench: TrackingBench, slow_api: SlowApi) -> AsyncIterator[None]:
    """Run a refresher with that API."""
    no_retry = RequestRetry(attempts=1, total_seconds=60)
    base_url = bench.sandbox.base_url
    api = client(base_url=base_url, transport=slow_api.transport, timeout=60.0, retry=no_retry)
    bench.restart(api)
    bench.store.subscribe("due", bench.refresher.wake)
    run = asyncio.create_task(bench.refresher.run(lambda: True))
    try:
        yield
    finally:
        run.cancel()
        await asyncio.wait([run])
        await api.aclose()


async def test_a_slow_read_does_not_delay_reads_that_become_due_meanwhile(
    bench: TrackingBench, eventually: Eventually
) -> None:
    slow = await bench.record_and_upload(meeting=str(uuid.uuid4()))
    quick = await bench.record_and_upload(meeting=str(uuid.uuid4()))
    slow_api = SlowApi(slow)

    async def is_completed() -> bool:
        return (await bench.published(quick))[-1] == "completed 3"

    async with refreshing(bench, slow_api):
        await bench.apply_webhook(slow, Status.UPLOADED)
        await eventually(lambda: slow_api.in_flight == 1)
        await bench.apply_webhook(quick, Status.UPLOADED)
        await eventually(is_completed)
        assert slow_api.in_flight == 1


async def test_the_number_of_concurrent_reads_is_bounded(
    bench: TrackingBench, eventually: Eventually
) -> None:
    ids = [await bench.record_and_upload(meeting=str(uuid.uuid4())) for _ in range(20)]
    slow_api = SlowApi(*ids)

    async def all_are_completed() -> bool:
        return {(await bench.published(recording_id))[-1] for recording_id in ids} == {
            "completed 3"
        }

    async with refreshing(bench, slow_api):
        for recording_id in ids:
            await bench.apply_webhook(recording_id, Status.UPLOADED)
        await eventually(lambda: slow_api.in_flight == MAX_CONCURRENT_READS)
        slow_api.release_reads.set()
        await eventually(all_are_completed)
    assert slow_api.max_in_flight == MAX_CONCURRENT_READS


async def test_files_do_not_wait_for_hundreds_of_reads_of_recordings_that_have_completed(
    bench: TrackingBench, eventually: Eventually
) -> None:
    upload = await bench.record_and_upload()
    completed = [str(uuid.uuid4()) for _ in range(6 * MAX_CONCURRENT_READS)]
    for recording_id in completed:
        snapshot = RecordingSnapshot(recording_id=recording_id, status=Status.UPLOADED)
        at = bench.now()
        await bench.observe(snapshot, "sweep", files=(), files_final=True, read_again_at=at)

    async def is_completed() -> bool:
        return (await bench.published(upload))[-1] == "completed 3"

    async with refreshing(bench, SlowApi()):
        await eventually(lambda: len(read_ids(bench)) > MAX_CONCURRENT_READS)
        await bench.apply_webhook(upload, Status.UPLOADED)
        already_read = len(read_ids(bench))
        await eventually(is_completed)
    assert read_ids(bench).index(upload) < already_read + 2 * MAX_CONCURRENT_READS
