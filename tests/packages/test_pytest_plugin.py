"""The pytest plugin of recording-worker-sandbox, in projects without the worker."""

import sys
from pathlib import Path

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.packages.foreign_project import BARE, ForeignProject, Run

USES_THE_SANDBOX = """
import json
import urllib.error
import urllib.request

import pytest


def request(sandbox, path, body=None, token="any"):
    url = f"{sandbox.base_url}/accounts/a/realtime/kit/b{path}"
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


MEETING = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"


def start(sandbox):
    return request(sandbox, "/recordings", {"meeting_id": MEETING})


def test_a_recording_starts_and_the_clock_moves_on_demand(recording_sandbox):
    status, answer = start(recording_sandbox)
    recording_sandbox.advance(5)
    recording_sandbox.wait_for(
        lambda log: any(change.status == "RECORDING" for change in log.transitions), seconds=10
    )
    assert status in (200, 201)
    assert [call.operation for call in recording_sandbox.requests("start_recording")]


def test_no_test_sees_the_requests_or_recordings_of_another(recording_sandbox):
    assert recording_sandbox.requests() == []
    assert request(recording_sandbox, "/recordings")[1]["data"] == []


def test_a_fault_strikes_and_is_cleared(recording_sandbox):
    recording_sandbox.add_fault("refuse", operation="start_*", status=503)
    assert start(recording_sandbox)[0] == 503
    recording_sandbox.clear_faults()
    assert start(recording_sandbox)[0] in (200, 201)


def test_a_wrong_fault_names_its_field(recording_sandbox):
    with pytest.raises(ValueError, match="unknown field `statsu`"):
        recording_sandbox.add_fault("refuse", statsu=503)


def test_behaviour_changes_while_it_runs(recording_sandbox):
    recording_sandbox.change(strict=True)
    assert request(recording_sandbox, "/recordings")[0] == 401


@pytest.mark.recording_sandbox(strict=True, tokens=("good",), max_recordings=0)
def test_the_marker_sets_options_and_behaviour(recording_sandbox):
    recording_sandbox.call(lambda sandbox: sandbox.meetings.create(MEETING))
    assert request(recording_sandbox, "/recordings", token="bad")[0] == 401
    assert request(recording_sandbox, "/recordings", {"meeting_id": MEETING}, "good")[0] == 429


def test_the_control_plane_does_the_same_over_http(recording_sandbox):
    body = json.dumps({"kind": "refuse", "operation": "*", "status": 500}).encode()
    url = f"{recording_sandbox.control_url}/faults"
    with urllib.request.urlopen(urllib.request.Request(url, body)) as response:
        assert response.status in (200, 201)
    assert start(recording_sandbox)[0] == 500


async def _never():
    '''A project without an asyncio plugin collects no coroutine; the fixtures need none.'''
"""

USES_NOTHING = """
import sys


def test_nothing_heavy_was_imported():
    heavy = {"aiohttp", "asyncio", "cryptography", "msgspec", "recording_sandbox.api"}
    assert heavy & sys.modules.keys() == set()
    assert "recording_sandbox.pytest_plugin" in sys.modules
"""

USES_A_BROKER = """
import socket


def test_the_broker_listens(recording_rabbitmq):
    socket.create_connection(("127.0.0.1", recording_rabbitmq.port), timeout=5).close()
    assert recording_rabbitmq.amqp_url.startswith("amqp://")
    print("url:", recording_rabbitmq.amqp_url)
"""

USES_A_WORKER = """
import asyncio

import aio_pika
from recording_schemas import StartRecording, StartTrackRecording, decode_event, encode_command

MEETING = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"


async def outcome(worker):
    connection = await aio_pika.connect(worker.amqp_url)
    async with connection, asyncio.timeout(30):
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        command = StartRecording(id="one", meeting_id=MEETING)
        exchange = await channel.get_exchange(f"{worker.name_prefix}.commands")
        message = aio_pika.Message(encode_command(command), reply_to=replies.name)
        await exchange.publish(message, routing_key=command.command_type)
        async with replies.iterator() as incoming:
            async for reply in incoming:
                await reply.ack()
                return decode_event(reply.body)


def test_a_command_is_executed(recording_worker, recording_sandbox):
    event = asyncio.run(outcome(recording_worker))

    assert event.type == "command.succeeded.v1"
    assert len(recording_sandbox.requests("start_recording")) == 1


async def record(worker, sandbox):
    connection = await aio_pika.connect(worker.amqp_url)
    async with connection, asyncio.timeout(30):
        channel = await connection.channel()
        files = await channel.declare_queue(exclusive=True)
        await files.bind(f"{worker.name_prefix}.files", "track.audio.ready")
        command = encode_command(StartTrackRecording(id="two", meeting_id=MEETING))
        exchange = await channel.get_exchange(f"{worker.name_prefix}.commands")
        await exchange.publish(aio_pika.Message(command), routing_key="start_track_recording")
        await asyncio.to_thread(sandbox.wait_for, lambda log: len(log.started) == 1)
        sandbox.advance(2)
        sandbox.call(lambda sandbox: sandbox.meetings.end_session(MEETING))
        async with files.iterator() as incoming:
            return [decode_event((await anext(incoming)).body).data for _ in range(3)]


def test_each_file_of_a_meeting_that_ends_arrives(recording_worker, recording_sandbox):
    files = asyncio.run(record(recording_worker, recording_sandbox))

    assert len({file.user_id for file in files}) == 3


def test_it_can_crash_and_continue(recording_worker):
    recording_worker.kill()
    recording_worker.start()
    assert recording_worker.running
"""

NEEDS_A_WORKER = """
def test_it_runs(recording_worker):
    pass
"""

MISSPELT = """
import pytest

@pytest.mark.recording_sandbox(sped=60)
def test_it_runs(recording_sandbox):
    pass
"""


@pytest.fixture(scope="module")
def with_amqp_url(
    tmp_path_factory: pytest.TempPathFactory, sandbox_site: Path, rabbitmq: RabbitMQNode
) -> Run:
    """One run of a foreign project whose tests succeed and fail."""
    project = ForeignProject(tmp_path_factory.mktemp("foreign") / "theirs", BARE, sandbox_site)
    sources = (USES_THE_SANDBOX, USES_A_BROKER, NEEDS_A_WORKER, MISSPELT)
    return project.test(*sources, arguments=["-rA"], AMQP_URL=rabbitmq.amqp_url)


def test_a_foreign_project_tests_with_the_sandbox_without_the_worker(with_amqp_url: Run) -> None:
    assert with_amqp_url.out.count("PASSED test_theirs_0.py") == 7, with_amqp_url.out
    assert "8 passed, 2 errors" in with_amqp_url.out


def test_a_project_that_does_not_use_the_plugin_imports_nothing_more_and_gets_no_warning(
    foreign_project: ForeignProject,
) -> None:
    run = foreign_project.test(USES_NOTHING)

    assert run.code == 0, run.out
    assert "1 passed" in run.out


def test_the_broker_of_amqp_url_is_used(with_amqp_url: Run, rabbitmq: RabbitMQNode) -> None:
    assert "PASSED test_theirs_1.py" in with_amqp_url.out, with_amqp_url.out
    assert f"url: {rabbitmq.amqp_url}" in with_amqp_url.out


def test_a_private_broker_is_started_without_amqp_url(foreign_project: ForeignProject) -> None:
    run = foreign_project.test(USES_A_BROKER)

    assert run.code == 0, run.out


def test_a_test_that_needs_the_worker_says_so_where_it_is_not_installed(with_amqp_url: Run) -> None:
    needs = "needs recording-worker, which is not installed: pip install recording-worker"
    assert "ERROR test_theirs_2.py" in with_amqp_url.out, with_amqp_url.out
    assert needs in with_amqp_url.out
    assert "Traceback" not in with_amqp_url.out


def test_a_misspelt_field_of_the_marker_is_named(with_amqp_url: Run) -> None:
    wrong = "the marker recording_sandbox: Object contains unknown field `sped`"
    assert "ERROR test_theirs_3.py" in with_amqp_url.out, with_amqp_url.out
    assert wrong in with_amqp_url.out


def test_a_worker_runs_against_the_sandbox_and_the_broker(
    tmp_path: Path, rabbitmq: RabbitMQNode
) -> None:
    project = ForeignProject(tmp_path / "theirs", Path(sys.executable))

    run = project.test(USES_A_WORKER, arguments=["-p", "no:asyncio"], AMQP_URL=rabbitmq.amqp_url)

    assert run.code == 0, run.out
    assert "3 passed" in run.out
