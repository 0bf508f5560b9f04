"""Waiting starts survive kills, outages, lost webhooks and other replicas."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.kill_point_scenarios import stop_everything
from tests.fault.run_record import REJECTED, SUCCEEDED
from tests.fault.test_broker_faults import running

STARTS = 12
RARELY = "3600"


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, database_url: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    async with open_fault_environment(
        amqp_url, database_url, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        yield environment


def create_meeting(environment: FaultEnvironment) -> str:
    """A meeting whose session has not begun."""
    meeting = str(uuid.uuid4())
    environment.sandbox.meetings.create(meeting, participants=1, live=False)
    return meeting


def begin(environment: FaultEnvironment, meeting: str) -> None:
    meetings = environment.sandbox.meetings
    meetings.join(meeting, next(iter(meetings.get(meeting).participants)))


async def send_start(
    environment: FaultEnvironment,
    command_id: str,
    meeting: str,
    *,
    allowed: frozenset[str] = SUCCEEDED,
) -> None:
    command = {"type": "start_track_recording", "id": command_id, "meeting_id": meeting}
    await environment.sender.send(command | {"wait_for_session": True}, allowed=allowed)


async def send_waiting(environment: FaultEnvironment) -> list[str]:
    """Send waiting starts, each for its own meeting. Returns after the API has one read for
    each."""
    meetings = [create_meeting(environment) for _ in range(STARTS)]
    for number, meeting in enumerate(meetings):
        await send_start(environment, f"start-{number}", meeting)
    await eventually(lambda: set(meetings) <= asked_for(environment), seconds=60)
    return meetings


def asked_for(environment: FaultEnvironment) -> set[str]:
    """The meetings whose active session was requested from the API."""
    requests = environment.sandbox.request_log.requests
    return {
        str(request.meeting_id) for request in requests if request.operation == "active_session"
    }


async def all_started(environment: FaultEnvironment) -> None:
    for number in range(STARTS):
        outcome = await environment.recorder.outcome_of(f"start-{number}", seconds=60)
        assert msgspec.json.decode(outcome.body)["type"] == "command.succeeded.v1"
    await stop_everything(environment)
    report = await environment.settled()
    assert report.violations == ()
    assert len(environment.sandbox.recordings.index) == STARTS


async def test_a_kill_loses_no_waiting_start(environment: FaultEnvironment) -> None:
    worker = await running(environment)
    meetings = await send_waiting(environment)
    worker.kill()
    for meeting in meetings:
        begin(environment, meeting)
    worker.start()
    await all_started(environment)


async def test_a_webhook_executes_waiting_starts_at_once(environment: FaultEnvironment) -> None:
    worker = environment.worker(WORKER_SWEEP_INTERVAL_SECONDS=RARELY)
    async with environment.webhooks_to([worker]):
        worker.start()
        await environment.sandbox.request_log.until(
            lambda log: log.counts["request.add_webhook.201"] > 0
        )
        for meeting in await send_waiting(environment):
            begin(environment, meeting)
        await all_started(environment)


async def test_a_lost_webhook_delays_waiting_starts_by_one_interval(
    environment: FaultEnvironment,
) -> None:
    lost = Fault(kind="webhook_drop", operation="meeting.started")
    environment.sandbox.faults.add(lost)
    worker = environment.worker()
    async with environment.webhooks_to([worker]):
        worker.start()
        for meeting in await send_waiting(environment):
            begin(environment, meeting)
        await all_started(environment)


async def test_starts_wait_while_the_api_is_unavailable(environment: FaultEnvironment) -> None:
    worker = await running(environment)
    meetings = await send_waiting(environment)
    await eventually(lambda: worker.log.read_text().count('"parked"') >= STARTS, seconds=60)
    environment.api.refuse()
    environment.api.cut()
    for meeting in meetings:
        begin(environment, meeting)
    worker.kill()
    worker.start()
    await eventually(lambda: "session_poll_failed" in worker.log.read_text(), seconds=60)
    await environment.api.restore()
    await all_started(environment)


async def test_replicas_share_waiting_starts_while_leaders_die(
    amqp_url: str, names_prefix: str, postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    async with open_fault_environment(
        amqp_url, url, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        workers = [environment.worker() for _ in range(3)]
        async with environment.webhooks_to(workers):
            for worker in workers:
                worker.start()
            for meeting, worker in zip(await send_waiting(environment), workers * 4, strict=True):
                begin(environment, meeting)
                if worker is not workers[2]:
                    worker.kill()
                    worker.start()
            await all_started(environment)
    postgresql.drop_database(url)


async def test_a_stop_cancels_one_after_a_kill(environment: FaultEnvironment) -> None:
    worker = await running(environment)
    meeting = create_meeting(environment)
    await send_start(environment, "start-0", meeting, allowed=REJECTED)
    await eventually(lambda: meeting in asked_for(environment), seconds=60)
    worker.kill()
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-0"}
    await environment.sender.send(stop, allowed=SUCCEEDED)
    worker.start()
    outcome = await environment.recorder.outcome_of("start-0", seconds=60)
    assert msgspec.json.decode(outcome.body)["data"]["code"] == "cancelled"
    begin(environment, meeting)
    assert (await environment.settled()).violations == ()
    assert len(environment.sandbox.recordings.index) == 0
