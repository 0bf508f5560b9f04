"""Answers of the API that nobody documents: they cost no recording, no event and no other meeting.

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
from worker.realtimekit.client import RealtimeKitClient

NO_TIMES = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59-14:00"]
"""How services write that there is no time."""


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


@pytest.mark.parametrize("no_time", NO_TIMES)
async def test_a_recording_that_is_listed_with_no_believable_time_is_not_started_again(
    bench: CommandBench, no_time: str
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    alter = setting(invoked_time=no_time)
    async with aclosing(altered_client(bench.sandbox.base_url, alter)) as api:
        bench.handler = bench.new_handler(api)
        assert isinstance(await bench.send(bench.start()), Retry)
        bench.pass_time(31)  # from now on a start that is not found is called again
        assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


@pytest.mark.parametrize("no_time", NO_TIMES)
async def test_recordings_with_no_believable_times_end_together(
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
        assert {(await tracking.stored(one)).status for one in ids} == {Status.UPLOADED}


# Files


def list_each_file_twice(_request: httpx.Request, body: Any) -> None:
    """Every file has two entries. Each of them has a URL that is signed by itself."""
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
