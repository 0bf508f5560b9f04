"""The archive reads a recording again for new URLs, and must not believe that there are none."""

from collections.abc import AsyncIterator

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.domain.errors import ApiError, Refused
from worker.realtimekit.apps import App, Apps
from worker.tracking.archive_requests import ArchiveRequests


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


async def uploaded(bench: TrackingBench) -> str:
    recording_id = await bench.start("track")
    bench.sandbox.clock.advance(10)
    await bench.api.control_recording(recording_id, "stop")
    bench.sandbox.clock.advance(bench.sandbox.behaviour.uploading_seconds)
    await bench.sweep_and_read()
    return recording_id


def requests(bench: TrackingBench) -> ArchiveRequests:
    apps = Apps([App(name="default", api=bench.api, breaker=bench.breaker)])
    return ArchiveRequests(bench.store, apps, now=bench.now)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_read_without_the_participants_of_the_files_is_an_error_and_no_answer(
    status: int, bench: TrackingBench
) -> None:
    recording_id = await uploaded(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=status))
    with pytest.raises(ApiError) as raised:
        await requests(bench).read_again("default", recording_id)
    assert not isinstance(raised.value, Refused)


async def test_files_whose_participants_the_api_refuses_are_read_nevertheless(
    bench: TrackingBench,
) -> None:
    recording_id = await uploaded(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=404))
    await requests(bench).read_again("default", recording_id)
