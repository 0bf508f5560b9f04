"""A standby of PostgreSQL takes over without the last commits of the lost primary."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from yarl import URL

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import find_programs
from recording_sandbox.services.postgresql_local import LocalServer
from recording_sandbox.services.postgresql_standby import LocalStandby
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.run_record import SUCCEEDED
from tests.fault.work_in_progress import starts_in_progress

ANSWER_SECONDS: Final = 4.0
COMMANDS: Final = 3


@pytest.fixture
def standby(private_postgresql: PostgreSQLServer) -> Iterator[LocalStandby]:
    programs = find_programs()
    if programs is None or not isinstance(private_postgresql, LocalServer):
        pytest.skip("a standby needs the programs of PostgreSQL on this machine")
    with LocalStandby(programs, private_postgresql) as standby:
        yield standby


@pytest.fixture
async def environment(
    amqp_url: str,
    names_prefix: str,
    private_postgresql: PostgreSQLServer,
    standby: LocalStandby,
    tmp_path: Path,
) -> AsyncIterator[FaultEnvironment]:
    """A worker with both hosts in its URL. The standby does not have the tables yet."""
    async with open_fault_environment(
        amqp_url,
        private_postgresql.url,
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_API_TIMEOUT_SECONDS="20",
        WORKER_LEASE_SECONDS="60",
    ) as environment:
        primary, other = URL(private_postgresql.url), URL(standby.url)
        hosts = f"{primary.host}:{primary.port},{other.host}:{other.port}"
        worker = environment.worker(DATABASE_URL=f"postgresql://postgres@{hosts}/postgres")
        worker.start()
        await worker.ready()
        yield environment


async def starts_in_hand(environment: FaultEnvironment, standby: LocalStandby) -> None:
    """Return when the API has executed starts that the standby does not have."""
    await asyncio.to_thread(standby.catch_up)
    await asyncio.to_thread(standby.fall_behind)
    slow = Fault(kind="slow", operation="start*", seconds=ANSWER_SECONDS)
    fault = environment.sandbox.faults.add(slow)
    for number in range(COMMANDS):
        start = {
            "type": "start_track_recording",
            "id": f"start-{number}",
            "meeting_id": str(uuid.uuid4()),
        }
        await environment.sender.send(start, allowed=SUCCEEDED)
    await eventually(lambda: len(starts_in_progress(environment)) == COMMANDS)
    environment.sandbox.faults.clear(fault)


@pytest.mark.parametrize("is_quick", [True, False], ids=["before the answer", "after the answer"])
async def test_a_start_whose_claim_a_failover_lost_is_not_called_again(
    environment: FaultEnvironment,
    private_postgresql: PostgreSQLServer,
    standby: LocalStandby,
    is_quick: bool,
) -> None:
    await starts_in_hand(environment, standby)
    await asyncio.to_thread(private_postgresql.kill)
    if not is_quick:
        (worker,) = environment.workers
        await eventually(lambda: worker.log.read_text().count('"store_unavailable"') >= COMMANDS)
    await asyncio.to_thread(standby.promote)
    for number in range(COMMANDS):
        await environment.recorder.outcome_of(f"start-{number}", seconds=60)
        stop = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)
    found = await environment.settled()
    assert found.violations == ()
    assert len(environment.sandbox.request_log.started) == COMMANDS
