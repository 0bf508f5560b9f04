"""`sync_recording`: late files, newly signed URLs, recordings that the store does not have."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Kind
from tests.integration.command_bench import CommandBench, open_command_bench
from worker.broker.messages import Ack, Retry
from worker.domain.event_envelopes import event_id_of

DAY: Final = 86_400.0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        yield opened


async def upload(bench: CommandBench, kind: Kind = "track") -> str:
    """An uploaded recording of our start whose end has not been read."""
    command = bench.start() | {
        "type": "start_track_recording" if kind == "track" else "start_recording"
    }
    await bench.send(command)
    (recording_id,) = (await bench.outcome())["data"]["recording_ids"]
    bench.pass_time(20)
    await bench.api.control_recording(recording_id, "stop")
    bench.pass_time(20)
    return str(recording_id)


async def sync(bench: CommandBench, recording_id: str, command_id: str = "sync") -> None:
    command = {"type": "sync_recording", "id": command_id, "recording_id": recording_id}
    assert await bench.send(command) == Ack()


async def events(bench: CommandBench, recording_id: str) -> list[dict[str, Any]]:
    """All events of the recording after its first status, and how each was routed."""
    unsent = await bench.store.unsent(1000)
    found = [
        msgspec.json.decode(event.body) | {"key": event.routing_key, "exchange": event.exchange}
        for event in unsent
        if event.subject == recording_id
    ]
    numbers = [int(event["sequence"]) for event in found]
    assert numbers == list(range(1, len(found) + 1))
    for event, number in zip(found, numbers, strict=True):
        assert event["id"] == event_id_of(f"recording/{recording_id}/{number}")
    return found[1:]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("recording.").removesuffix(".v1") for event in found]


@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_urls_that_were_signed_anew_are_published_with_all_fields(
    bench: CommandBench, kind: Kind
) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    recording_id = await upload(bench, kind)
    await sync(bench, recording_id, "sync-1")
    first = await events(bench, recording_id)
    bench.pass_time(8 * DAY)  # the URLs have expired

    await sync(bench, recording_id, "sync-2")

    found = await events(bench, recording_id)
    renewed = found[len(first) :]
    ready = [event for event in first if event["type"] == "recording.file_ready.v1"]
    assert kinds(renewed) == ["file_url_renewed"] * len(ready)
    for old, new in zip(ready, renewed, strict=True):
        assert new["exchange"] == "files"
        assert new["key"] == old["key"].removesuffix("ready") + "url_renewed"
        changed = {name for name in old["data"] if old["data"][name] != new["data"][name]}
        assert changed - {"file_count"} == {"download_url", "download_url_expiry"}
        assert new["data"]["download_url_expiry"] > old["data"]["download_url_expiry"]


async def test_a_sync_without_a_new_url_publishes_nothing(bench: CommandBench) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    recording_id = await upload(bench)
    await sync(bench, recording_id, "sync-1")
    bench.pass_time(DAY)
    await sync(bench, recording_id, "sync-2")
    before = await events(bench, recording_id)

    await sync(bench, recording_id, "sync-3")

    assert await events(bench, recording_id) == before
    assert kinds(before).count("completed") == 1


async def test_a_repeated_sync_renews_nothing(bench: CommandBench) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    recording_id = await upload(bench)
    await sync(bench, recording_id)
    before = await events(bench, recording_id)
    bench.pass_time(DAY)

    await sync(bench, recording_id)

    assert await events(bench, recording_id) == before


async def test_a_late_file_and_renewed_urls_are_published_by_one_sync(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    bench.sandbox.faults.add(Fault(kind="late_files", seconds=7200))
    recording_id = await upload(bench)
    await sync(bench, recording_id, "sync-1")
    first = await events(bench, recording_id)
    assert kinds(first).count("file_ready") == 1
    bench.pass_time(2.5 * 3600)

    await sync(bench, recording_id, "sync-2")

    found = kinds((await events(bench, recording_id))[len(first) :])
    assert found[:2] == ["file_ready", "file_url_renewed"]
    bench.pass_time(2 * 3600)
    await sync(bench, recording_id, "sync-3")
    assert kinds(await events(bench, recording_id))[-4:] == [
        "file_ready",
        "file_url_renewed",
        "file_url_renewed",
        "completed",
    ]


async def test_an_unknown_recording_is_adopted_with_its_files_and_then_renewed(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    snapshot = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    recording_id = snapshot.recording_id
    bench.pass_time(20)
    await bench.api.control_recording(recording_id, "stop")
    bench.pass_time(20)

    await sync(bench, recording_id, "sync-1")

    first = await events(bench, recording_id)
    assert kinds(first) == ["file_ready"] * 3 + ["completed"]
    bench.pass_time(DAY)
    await sync(bench, recording_id, "sync-2")
    assert kinds((await events(bench, recording_id))[4:]) == ["file_url_renewed"] * 3


async def test_the_owners_of_a_known_list_are_read_again(bench: CommandBench) -> None:
    bench.sandbox.behaviour.resign_seconds = 3600
    bench.sandbox.faults.add(Fault(kind="late_files"))  # the list never becomes whole
    recording_id = await upload(bench)
    for number in range(3):
        bench.pass_time(DAY)
        await sync(bench, recording_id, f"sync-{number}")

    found = await events(bench, recording_id)
    owners = {
        event["data"]["custom_participant_id"] for event in found if "file_name" in event["data"]
    }
    assert kinds(found).count("file_url_renewed") == 2
    assert len(owners) == 1
    assert None not in owners


async def test_a_sync_waits_until_the_owners_of_files_can_be_read(bench: CommandBench) -> None:
    recording_id = await upload(bench)
    fault = bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants"))
    command = {"type": "sync_recording", "id": "sync", "recording_id": recording_id}

    assert isinstance(await bench.send(command), Retry)

    assert kinds(await events(bench, recording_id)) == ["status_changed"]
    bench.sandbox.faults.clear(fault)
    await sync(bench, recording_id)
    assert kinds(await events(bench, recording_id))[1:] == ["file_ready"] * 3 + ["completed"]


async def test_the_database_has_no_url_of_a_file_beside_its_events(
    bench: CommandBench, tmp_path: Path
) -> None:
    recording_id = await upload(bench)
    await sync(bench, recording_id)
    connection = sqlite3.connect(tmp_path / "state.db")
    for table in ("files", "recordings", "inbox"):
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        assert rows
        assert "X-Signature" not in str(rows)
    connection.close()


@pytest.mark.parametrize(("age", "is_rejected"), [(5, False), (60, True)])
async def test_a_sync_waits_for_a_recording_that_has_just_begun_and_that_the_api_does_not_find(
    bench: CommandBench, age: float, is_rejected: bool
) -> None:
    await bench.send(bench.start())
    (started,) = bench.started()
    bench.pass_time(age)
    bench.sandbox.faults.add(Fault(kind="refuse", operation="get_recording", status=404, count=1))
    command = {"type": "sync_recording", "id": "sync", "recording_id": started.recording_id}
    settlement = await bench.send(command)
    if is_rejected:
        assert settlement == Ack()
        assert (await bench.outcome("sync"))["data"]["code"] == "not_found"
        return
    assert isinstance(settlement, Retry)
    assert await bench.send(command) == Ack()
    assert (await bench.outcome("sync"))["data"]["recording_ids"] == [started.recording_id]
