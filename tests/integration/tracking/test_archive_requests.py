"""The archive reads a recording again for new URLs. A failed read does not mean that there are
none."""

from collections.abc import AsyncIterator

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.domain.errors import ApiError, Refused
from worker.realtimekit.apps import App, Apps
from worker.tracking.archive_requests import ArchiveRequests


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(sqlite_url, archives=True) as opened:
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


async def url_of(bench: TrackingBench, recording_id: str) -> str | None:
    return await bench.store.archive.find_url(recording_id, 1)


@pytest.mark.parametrize("status", [404, 429, 503])
async def test_the_archive_gets_new_urls_also_while_the_participants_cannot_be_read(
    status: int, bench: TrackingBench
) -> None:
    recording_id = await uploaded(bench)
    before = await url_of(bench, recording_id)
    bench.sandbox.behaviour.resign_seconds = 0.0
    for _ in range(3):
        bench.sandbox.clock.advance(3600)
        bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=status))
        await requests(bench).read_again("default", recording_id)
        after = await url_of(bench, recording_id)
        assert after not in {None, before}
        before = after


async def test_a_url_that_is_signed_as_before_is_no_new_one(bench: TrackingBench) -> None:
    recording_id = await uploaded(bench)
    before = await url_of(bench, recording_id)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=503))
    await requests(bench).read_again("default", recording_id)
    assert await url_of(bench, recording_id) == before


async def test_the_error_of_the_recording_itself_is_no_answer(bench: TrackingBench) -> None:
    recording_id = await uploaded(bench)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="get_recording", status=503))
    with pytest.raises(ApiError) as raised:
        await requests(bench).read_again("default", recording_id)
    assert not isinstance(raised.value, Refused)
