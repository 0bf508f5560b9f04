"""Composites in the customer's own storage, also if the API's answers do not repeat it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.integration.tracking_bench import TrackingBench, on_both_engines, open_bench
from worker.domain.snapshot import Storage
from worker.store.queries import RecordingsFilter

CONFIG = {
    "type": "aws",
    "bucket": "ours",
    "path": "meetings",
    "access_key": "AKIAOWN",
    "secret": "s3cret-key",
    "region": "eu-central-1",
}
STORAGE = Storage(type="aws", bucket="ours", path="meetings")
OMITTED = Fault(kind="omit", fields=("storage_config",))


@pytest.fixture
async def bench(usual_database_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(usual_database_url) as opened:
        opened.sandbox.faults.add(OMITTED)
        yield opened


@pytest.fixture
async def commands(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.faults.add(OMITTED)
        yield opened


async def record(bench: TrackingBench, **body: Any) -> str:
    """Record into the storage and upload. The worker restarts meanwhile."""
    keeps = body.get("realtimekit_bucket_config", {}).get("enabled", True)
    context = {"storage": STORAGE, "only_in_storage": not keeps}
    recording_id = await bench.start("composite", context=context, storage_config=CONFIG, **body)
    await bench.run_due(10)
    await bench.api.control_recording(recording_id, "stop")
    bench.restart()
    await bench.run_due(5)
    return recording_id


async def follow(bench: TrackingBench, seconds: int = 130) -> None:
    for _ in range(0, seconds, 5):
        await bench.run_due(5)


@on_both_engines
async def test_a_file_is_where_its_start_put_it_although_the_api_does_not_say_so(
    bench: TrackingBench,
) -> None:
    recording_id = await record(bench, realtimekit_bucket_config={"enabled": False})
    await follow(bench, 15)
    (file,) = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert (file["storage"], file["download_url"]) == (
        {"type": "aws", "bucket": "ours", "path": "meetings"},
        None,
    )
    (completed,) = await bench.event_data(recording_id, "recording.completed.v1")
    assert completed["files"] == [file["file_name"]]


async def test_a_file_that_realtimekit_keeps_too_is_announced_with_its_url(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="late_files", seconds=60))
    recording_id = await record(bench)
    await follow(bench)
    for file in await bench.event_data(recording_id, "recording.file_ready.v1"):
        assert (file["storage"], file["download_url"] is None) == (None, False)
    assert (await bench.published(recording_id))[-1] == "completed 2"


async def test_a_file_without_any_url_is_in_the_storage_when_the_wait_is_over(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await record(bench)
    await follow(bench, 60)
    assert (await bench.published(recording_id))[-1] == "UPLOADED"
    await follow(bench, 90)
    assert (await bench.published(recording_id))[-2:] == ["file", "completed 1"]
    (file,) = await bench.event_data(recording_id, "recording.file_ready.v1")
    assert file["storage"]["bucket"] == "ours"


@pytest.mark.parametrize("named", ["storage_config", "storage_profile"])
async def test_a_start_remembers_its_storage_without_credentials(
    commands: CommandBench, named: str, tmp_path: Path
) -> None:
    profiles = {"archive": CONFIG}
    commands.handler = commands.new_handler(storage_profiles=profiles)
    storage: dict[str, Any] = {named: CONFIG if named == "storage_config" else "archive"}
    keeps_none = {"enabled": False}
    await commands.send(
        commands.start(type="start_recording", realtimekit_bucket_config=keeps_none, **storage)
    )
    (recording,) = await commands.store.recordings(RecordingsFilter())
    assert recording.start is not None
    assert (recording.start.storage, recording.start.only_in_storage) == (STORAGE, True)
    for path in tmp_path.glob("state.db*"):
        assert b"s3cret-key" not in path.read_bytes()


async def test_an_adopted_recording_remembers_the_storage_of_its_start(
    commands: CommandBench,
) -> None:
    commands.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    command = commands.start(type="start_recording", storage_config=CONFIG)
    await commands.send(command)
    commands.pass_time(60)
    commands.handler = commands.new_handler()
    await commands.send(command)
    (recording,) = await commands.store.recordings(RecordingsFilter())
    assert recording.start is not None
    assert recording.start.storage == STORAGE
    assert len(commands.started()) == 1
