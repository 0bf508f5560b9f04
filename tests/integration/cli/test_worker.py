"""The commands with a real worker process, a broker and the emulated API."""

import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import Eventually
from tests.integration.cli_process import (
    CommandLine,
    FinishedProcess,
    RunningProcess,
    worker_command_line,
)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(speed=20.0)) as running:
        yield running


@pytest.fixture
def cli(
    sandbox: Sandbox, amqp_url: str, names_prefix: str, sqlite_url: str, tmp_path: Path
) -> CommandLine:
    more = {
        "REALTIMEKIT_API_TOKEN": "hunter2-hunter2",
        "WORKER_API_RETRY_SECONDS": "0.1",
        "WORKER_RETRY_DELAYS_SECONDS": "0.2,1",
    }
    return worker_command_line(amqp_url, names_prefix, sandbox, sqlite_url, tmp_path, **more)


@pytest.fixture
async def worker(cli: CommandLine) -> AsyncIterator[RunningProcess]:
    """A worker process; commands sent before it listens wait in the queue."""
    await cli("topology", "declare")
    async with cli.running("run") as running:
        await running.says("started")
        yield running


async def send(cli: CommandLine, *arguments: str) -> FinishedProcess:
    return await cli("send", *arguments, "--wait", "--timeout", "20")


async def test_a_recording_goes_from_its_start_to_its_files(
    cli: CommandLine, worker: RunningProcess
) -> None:
    meeting = str(uuid.uuid4())
    async with cli.running("tail", "--meeting-id", meeting, "--exchange", "files") as tail:
        await tail.says("Listening on")
        started = await send(cli, "start_track_recording", "--meeting-id", meeting, "--id", "s-1")
        (outcome,) = started.lines
        stopped = await send(cli, "stop_recording", "--start-id", "s-1")
        files = [msgspec.json.decode(await tail.line()) for _ in range(4)]

    (recording_id,) = outcome["data"]["recording_ids"]
    assert (started.code, stopped.code) == (0, 0)
    assert outcome["type"] == "command.succeeded.v1"
    assert [event["type"] for event in files] == [
        *["recording.file_ready.v1"] * 3,
        "recording.completed.v1",
    ]
    (known,) = (await cli("recordings", "--start-id", "s-1")).lines
    assert (known["recording_id"], known["status"]) == (recording_id, "UPLOADED")
    assert known["completed"] is True


async def test_send_waits_for_a_replay_and_leaves_its_events_to_the_subscribers(
    cli: CommandLine, worker: RunningProcess
) -> None:
    await send(cli, "start_track_recording", "--meeting-id", str(uuid.uuid4()), "--id", "s-1")
    await send(cli, "stop_recording", "--start-id", "s-1")
    async with cli.running("tail", "--exchange", "status") as tail:
        await tail.says("Listening on")
        replayed = await send(cli, "replay_recording", "--start-id", "s-1")
        while msgspec.json.decode(await tail.line())["data"]["status"] != "INVOKED":
            pass  # a status that arrived in between

    assert (replayed.code, len(replayed.lines)) == (0, 1)
    assert replayed.lines[0]["data"]["command_type"] == "replay_recording"


async def test_a_start_that_waits_has_no_outcome_and_the_error_says_so(
    cli: CommandLine, worker: RunningProcess, sandbox: Sandbox
) -> None:
    meeting = sandbox.meetings.create(live=False)
    start = ("start_track_recording", "--meeting-id", meeting.id, "--wait-for-session")

    ended = await cli("send", *start, "--id", "s-1", "--wait", "--timeout", "2")
    outcomes = await cli("outcomes", "--id", "s-1")

    assert ended.code == 6
    assert "recordings show s-1" in ended.err
    assert (outcomes.code, outcomes.out) == (0, "")
    assert "No command with this id has ended" in outcomes.err


async def test_recordings_are_read_while_the_worker_writes(
    cli: CommandLine, worker: RunningProcess
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    for meeting in (first, second):
        await send(cli, "start_track_recording", "--meeting-id", meeting)

    of_first = await cli("recordings", "--meeting-id", first)
    one_only = await cli("recordings", "--limit", "1")
    table = await cli("recordings", "--no-json")

    assert [row["meeting_id"] for row in of_first.lines] == [first]
    assert len(one_only.lines) == 1
    assert "--limit" in one_only.err
    assert table.out.splitlines()[0].split()[:5] == [
        "recording",
        "app",
        "kind",
        "status",
        "meeting",
    ]
    assert len(table.out.splitlines()) == 3


async def test_a_rejected_command_ends_with_exit_code_3_and_the_reason_of_the_api(
    cli: CommandLine, worker: RunningProcess
) -> None:
    ended = await send(cli, "sync_recording", "--recording-id", str(uuid.uuid4()), "--no-json")

    assert ended.code == 3
    assert "rejected" in ended.out
    assert "not_found" in ended.out


async def test_an_expired_command_ends_with_exit_code_4(
    cli: CommandLine, worker: RunningProcess
) -> None:
    ended = await send(
        cli,
        *("stop_recording", "--meeting-id", str(uuid.uuid4())),
        *("--deadline", "2001-01-01T00:00:00Z"),
    )

    assert ended.code == 4
    assert ended.lines[0]["type"] == "command.expired.v1"


async def test_a_failed_command_ends_with_exit_code_5(cli: CommandLine) -> None:
    cli.environ |= {
        "REALTIMEKIT_BASE_URL": "http://127.0.0.1:1/client/v4",
        "WORKER_COMMAND_MAX_AGE_SECONDS": "1",
    }
    await cli("topology", "declare")
    async with cli.running("run") as running:
        await running.says("started")
        ended = await send(cli, "sync_recording", "--recording-id", str(uuid.uuid4()))

    assert ended.code == 5
    assert ended.lines[0]["data"]["last_error"]["code"]


async def test_a_repeated_id_gets_the_outcome_again_and_starts_nothing(
    cli: CommandLine, worker: RunningProcess, sandbox: Sandbox
) -> None:
    command = ("start_track_recording", "--meeting-id", str(uuid.uuid4()), "--id", "s-1")

    first, again = await send(cli, *command), await send(cli, *command)

    assert first.lines[0]["id"] == again.lines[0]["id"]
    assert (first.code, again.code) == (0, 0)
    assert len((await cli("recordings")).lines) == 1


async def test_the_outcome_of_another_body_ends_with_exit_code_7(
    cli: CommandLine, worker: RunningProcess
) -> None:
    start = ("start_track_recording", "--meeting-id", str(uuid.uuid4()), "--id", "s-1")
    first = await send(cli, *start)
    for other in (
        (*start, "--user-id", "somebody"),
        ("stop_recording", "--start-id", "s-1", "--id", "s-1"),
        ("replay_recording", "--start-id", "s-1", "--id", "s-1"),
    ):
        ended = await send(cli, *other)
        assert ended.code == 7
        assert ended.lines == first.lines
        assert "another command with the id s-1 arrived first" in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_worker_with_exit_code_0(
    worker: RunningProcess, number: signal.Signals
) -> None:
    worker.signal(number)
    ended = await worker.end()

    assert ended.code == 0, ended.err
    assert "stopped" in ended.err
    assert "hunter2" not in ended.err


async def test_a_second_signal_ends_the_worker_at_once(
    cli: CommandLine, sandbox: Sandbox, eventually: Eventually
) -> None:
    sandbox.faults.add(Fault(kind="slow", operation="start_track_recording", seconds=60))
    (slow,) = sandbox.faults.active()
    await cli("topology", "declare")
    patience = {"WORKER_API_TIMEOUT_SECONDS": "100", "WORKER_SHUTDOWN_SECONDS": "100"}
    async with cli.running("run", environ=patience) as running:
        await cli("send", "start_track_recording", "--meeting-id", str(uuid.uuid4()))
        await eventually(lambda: slow.triggered, description="the API is asked")
        running.signal(signal.SIGTERM)
        await running.says("stopping")
        running.signal(signal.SIGTERM)
        ended = await running.end()

    assert ended.code == -signal.SIGTERM


async def test_a_port_in_use_is_one_line_that_names_the_variable(
    cli: CommandLine, sandbox: Sandbox
) -> None:
    port = sandbox.base_url.split(":")[2].split("/")[0]

    ended = await cli("run", HTTP_PORT=port)

    assert ended.code == 1
    assert "HTTP_PORT" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


async def test_a_topology_that_differs_ends_the_worker_in_one_line(
    cli: CommandLine, names_prefix: str
) -> None:
    await cli("topology", "declare", WORKER_RETRY_DELAYS_SECONDS="0.2")

    ended = await cli("run", WORKER_TOPOLOGY="verify")

    assert ended.code == 1
    assert f"{names_prefix}.commands.retry.1s" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


async def test_a_database_that_cannot_be_opened_ends_the_worker_in_one_line(
    cli: CommandLine,
) -> None:
    ended = await cli("run", DATABASE_URL="sqlite:////nowhere/at/all.db")

    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in ended.err
