"""A recording with an undocumented status is reported soon and ends within the usual time."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.command_bench import CommandBench, open_command_bench
from tests.integration.tracking.test_timeouts import errors, until_completed
from tests.integration.tracking_bench import TIMEOUTS, TrackingBench, client
from tests.integration.webhook_bench import open_webhook_bench, status_update
from worker.broker.messages import Ack, Retry
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.metrics import Metrics
from worker.store.queries import RecordingsFilter

UNKNOWN: list[object] = ["TRANSCODING", "", None, 7]
SHOWN = dict(zip(map(repr, UNKNOWN), ["TRANSCODING", '""', "null", "a JSON number"], strict=True))


@pytest.fixture
async def commands(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        yield opened


def show(bench: TrackingBench | CommandBench, listed: bool = True, **shown: object) -> None:
    changes: dict[str, object] = {"shown_statuses": shown, "list_shown_statuses": listed}
    bench.sandbox.behaviour.change(changes)


def warnings(logs: list[Any]) -> list[tuple[str, str]]:
    return [
        (entry["unknown_status"], entry["last_known_status"])
        for entry in logs
        if entry["event"] == "recording_status_unknown"
    ]


# Tracking


@pytest.mark.parametrize("status", UNKNOWN, ids=repr)
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
async def test_an_unknown_status_is_stored_and_logged_once_by_the_next_sweep(
    bench: TrackingBench, status: object, listed: bool
) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(5)
    show(bench, listed, RECORDING=status)
    with capture_logs() as logs:
        for _ in range(3):
            await bench.sweep_and_read(10)
    assert warnings(logs) == [(SHOWN[repr(status)], "RECORDING")]
    stored = await bench.stored(recording_id)
    assert (stored.status, stored.unknown_status) == ("RECORDING", SHOWN[repr(status)])
    assert await bench.published(recording_id) == ["INVOKED", "RECORDING"]


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize(
    ("last", "within"),
    [
        ("INVOKED", TIMEOUTS.invoked_timeout),
        ("RECORDING", TIMEOUTS.recording_timeout),
        ("UPLOADING", TIMEOUTS.uploading_timeout),
    ],
)
async def test_a_recording_with_an_unknown_status_ends_by_the_timeout_of_its_last_known_one(
    bench: TrackingBench, last: str, within: float, listed: bool
) -> None:
    bench.sandbox.behaviour.change({"uploading_seconds": 1e9})
    bench.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", status=400, skip=1))
    recording_id = await bench.start()
    if last != "INVOKED":
        await bench.sweep_and_read(5)
    if last == "UPLOADING":
        await bench.api.control_recording(recording_id, "stop")
        await bench.sweep_and_read(5)
    else:
        bench.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", status=400))
    show(bench, listed, INVOKED="X-1", RECORDING="X-1", UPLOADING="X-1")
    assert within <= await until_completed(bench, recording_id) <= within + 3600
    ((code, message),) = await errors(bench, recording_id)
    assert code == "stalled"
    assert message.endswith("and the API reports the unknown status X-1")


async def test_a_known_status_after_an_unknown_one_is_published(bench: TrackingBench) -> None:
    recording_id = await bench.start()
    await bench.sweep_and_read(5)
    await bench.api.control_recording(recording_id, "stop")
    show(bench, UPLOADING="TRANSCODING")
    await bench.sweep_and_read(0.5)
    assert (await bench.stored(recording_id)).unknown_status == "TRANSCODING"
    await bench.sweep_and_read(5)
    assert (await bench.stored(recording_id)).unknown_status is None
    assert (await bench.published(recording_id))[-1] == "completed 3"


async def test_an_unknown_status_of_an_uploaded_recording_does_not_keep_its_completion(
    bench: TrackingBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await bench.record_and_upload()
    await bench.sweep_and_read()
    show(bench, UPLOADED="ARCHIVED")
    assert await until_completed(bench, recording_id) <= TIMEOUTS.files_wait + 120
    assert (await bench.published(recording_id))[-1] == "completed 0"


async def test_a_hundred_recordings_with_an_unknown_status_cost_no_request_each(
    bench: TrackingBench,
) -> None:
    for number in range(100):
        await bench.start(meeting=f"00000000-0000-4000-8000-{number:012}")
    await bench.sweep_and_read(5)
    show(bench, RECORDING="TRANSCODING")
    bench.take_operations()
    await bench.sweep_and_read(10)
    assert "get_recording" not in bench.take_operations()


async def test_a_recording_of_others_with_an_unknown_status_is_adopted_with_a_known_one(
    bench: TrackingBench,
) -> None:
    bench.restart(follow_all=True)
    await bench.sweep_and_read()
    external_id = (
        await bench.api.start_track_recording({"meeting_id": bench.meeting})
    ).recording_id
    show(bench, RECORDING="TRANSCODING")
    await bench.sweep_and_read(10)
    assert await bench.published(external_id) == []
    show(bench)
    await bench.sweep_and_read(10)
    assert await bench.published(external_id) == ["RECORDING"]


async def test_a_surplus_recording_with_an_unknown_status_is_stopped(
    bench: TrackingBench,
) -> None:
    recording_id = await bench.start()
    show(bench, INVOKED="X", RECORDING="X")
    bench.sandbox.clock.advance(5)
    snapshot = RecordingSnapshot(recording_id=recording_id, status=Status.INVOKED)
    await bench.observe(snapshot, "command", surplus_of="start-1")
    await bench.refresher.read_due()
    assert "change_recording" in bench.take_operations()


async def test_each_source_of_an_unknown_status_counts(bench: TrackingBench) -> None:
    metrics = Metrics(registry := CollectorRegistry(), version="test")
    api = client(base_url=bench.sandbox.base_url, on_unknown_status=metrics.record_unknown_status)
    show(bench, INVOKED="X", RECORDING="X", UPLOADING="X")
    started = await api.start_track_recording({"meeting_id": bench.meeting})
    bench.sandbox.clock.advance(5)
    await api.get_recording(started.recording_id)
    await api.list_recordings()
    await api.control_recording(started.recording_id, "stop")
    api.receive(started)
    await api.aclose()
    assert registry.get_sample_value("recording_worker_api_unknown_statuses_total") == 5


# Webhooks


async def test_a_webhook_with_an_unknown_status_is_taken_down_and_changes_nothing_else(
    sqlite_url: str,
) -> None:
    async with open_webhook_bench(sqlite_url) as bench:
        recording_id = await bench.known_recording("RECORDING")
        assert await bench.post(status_update(recording_id, "TRANSCODING")) == 204
        stored = await bench.recording(recording_id)
        assert (stored.status, stored.unknown_status) == ("RECORDING", "TRANSCODING")
        assert await bench.published_statuses(recording_id) == ["INVOKED", "RECORDING"]
        assert bench.verdict_counts() == {"unknown_status": 1}
        await bench.send_status(recording_id, "UPLOADING")
        assert (await bench.recording(recording_id)).unknown_status is None


# Commands


@pytest.mark.parametrize("status", UNKNOWN, ids=repr)
async def test_a_start_whose_answer_has_an_unknown_status_succeeds(
    commands: CommandBench, status: object
) -> None:
    show(commands, INVOKED=status, RECORDING=status)
    assert await commands.send(commands.start()) == Ack()
    (recording_id,) = (await commands.outcome())["data"]["recording_ids"]
    (stored,) = await commands.store.recordings(RecordingsFilter(recording_id=recording_id))
    assert (stored.status, stored.unknown_status) == ("INVOKED", SHOWN[repr(status)])


async def test_a_start_whose_answer_was_lost_finds_its_recording_by_a_list_with_unknown_statuses(
    commands: CommandBench,
) -> None:
    show(commands, INVOKED="QUEUED", RECORDING="QUEUED")
    commands.sandbox.faults.add(Fault(kind="lost_reset", operation="start_*", count=1))
    assert isinstance(await commands.send(commands.start()), Retry)
    commands.pass_time(31)
    assert await commands.send(commands.start()) == Ack()
    assert len(commands.started()) == 1


@pytest.mark.parametrize("status", UNKNOWN, ids=repr)
@pytest.mark.parametrize("by", ["start_id", "meeting_id"])
async def test_a_stop_of_a_recording_with_an_unknown_status_succeeds(
    commands: CommandBench, status: object, by: str
) -> None:
    commands.sandbox.behaviour.change({"invoked_seconds": 0.0})
    show(commands, RECORDING=status, UPLOADING=status)
    await commands.send(commands.start())
    stop = {"type": "stop_recording", "id": "stop", by: "start-1"}
    if by == "meeting_id":
        stop[by] = commands.meeting
    assert await commands.send(stop) == Ack()
    outcome = await commands.outcome("stop")
    assert outcome["type"] == "command.succeeded.v1"
    assert outcome["data"]["recording_ids"] == (await commands.outcome())["data"]["recording_ids"]


async def test_a_refused_stop_of_a_recording_with_an_unknown_status_fails_in_the_usual_time(
    commands: CommandBench,
) -> None:
    show(commands, INVOKED="QUEUED", RECORDING="QUEUED")
    commands.sandbox.faults.add(Fault(kind="refuse", operation="change_recording", status=400))
    await commands.send(commands.start())
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert isinstance(await commands.send(stop), Retry)
    commands.ahead = 301.0
    assert await commands.send(stop) == Ack()
    data = (await commands.outcome("stop"))["data"]
    assert data["last_error"]["code"] == "not_stoppable"


# Recordings of other programs


async def start_external(commands: CommandBench) -> str:
    commands.sandbox.behaviour.change({"invoked_seconds": 0.0})
    started = await commands.api.start_track_recording({"meeting_id": commands.meeting})
    return started.recording_id


async def test_a_sync_of_another_programs_recording_waits_for_a_known_status(
    commands: CommandBench,
) -> None:
    sync = {"type": "sync_recording", "id": "sync", "recording_id": await start_external(commands)}
    show(commands, RECORDING="ARCHIVED")
    settlement = await commands.send(sync)
    assert isinstance(settlement, Retry)
    assert settlement.code == "unknown_status"
    assert await commands.store.unsent(10) == []
    show(commands)
    assert await commands.send(sync) == Ack()
    keys = [event.routing_key for event in await commands.store.unsent(10)]
    assert keys == ["track.recording", "sync_recording.succeeded"]


async def test_a_sync_of_another_programs_recording_fails_in_time_if_its_status_stays_unknown(
    commands: CommandBench,
) -> None:
    sync = {"type": "sync_recording", "id": "sync", "recording_id": await start_external(commands)}
    show(commands, RECORDING="ARCHIVED")
    await commands.send(sync)
    commands.ahead = 301.0
    assert await commands.send(sync) == Ack()
    assert (await commands.outcome("sync"))["data"]["last_error"]["code"] == "unknown_status"


@pytest.mark.parametrize(
    ("by", "listed"), [("recording_id", []), ("meeting_id", ["track.recording"])]
)
async def test_a_stop_of_another_programs_recording_invents_no_status_for_an_unknown_one(
    commands: CommandBench, by: str, listed: list[str]
) -> None:
    target = {"recording_id": await start_external(commands), "meeting_id": commands.meeting}[by]
    show(commands, UPLOADING="TRANSCODING")
    assert await commands.send({"type": "stop_recording", "id": "stop", by: target}) == Ack()
    keys = [event.routing_key for event in await commands.store.unsent(10)]
    assert keys == [*listed, "stop_recording.succeeded"]
