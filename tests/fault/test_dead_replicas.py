"""A replica that is killed is replaced as soon as its session at PostgreSQL is gone."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import (
    FaultEnvironment,
    open_fault_environment,
    proxy_to,
    through,
)
from tests.fault.killable_worker import KillableWorker
from tests.fault.run_record import SUCCEEDED
from tests.fault.tcp_proxy import TcpProxy
from tests.fault.work_in_progress import starts_in_progress

COMMANDS: Final = 5
LEASE_SECONDS: Final = 60.0
SOON_SECONDS: Final = 10.0
"""Much less than a lease. On an idle machine it takes three to four seconds."""


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """Leases and retry delays of usual length, and an API that answers slowly."""
    async with open_fault_environment(
        amqp_url,
        postgresql_url,
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_LEASE_SECONDS=f"{LEASE_SECONDS:g}",
        WORKER_RETRY_DELAYS_SECONDS="5,30",
        WORKER_API_TIMEOUT_SECONDS="20",
        WORKER_RECONCILE_SECONDS="30",
    ) as environment:
        yield environment


def start(number: int) -> dict[str, Any]:
    return {
        "type": "start_track_recording",
        "id": f"start-{number}",
        "meeting_id": str(uuid.uuid4()),
    }


async def begin_starts(environment: FaultEnvironment, *, answer_seconds: float = 30.0) -> None:
    """Send starts. Returns when the API has executed all and answered none."""
    slow = Fault(kind="slow", operation="start*", seconds=answer_seconds)
    fault = environment.sandbox.faults.add(slow)
    for number in range(COMMANDS):
        await environment.sender.send(start(number), allowed=SUCCEEDED)
    await eventually(
        lambda: len(starts_in_progress(environment)) == COMMANDS,
        description="the starts are in hand",
    )
    environment.sandbox.faults.clear(fault)


async def all_succeed(environment: FaultEnvironment, *, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        for number in range(COMMANDS):
            await environment.recorder.outcome_of(f"start-{number}", seconds=seconds)


async def stop_all(environment: FaultEnvironment) -> None:
    for number in range(COMMANDS):
        command = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(command, allowed=SUCCEEDED)


async def nothing_is_lost_or_doubled(environment: FaultEnvironment) -> None:
    await stop_all(environment)
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == COMMANDS
    assert len(environment.start_requests()) == COMMANDS


async def test_a_replica_finishes_the_work_of_a_killed_leader_long_before_its_leases_end(
    environment: FaultEnvironment,
) -> None:
    killed = await environment.ready_worker()  # alone, so it leads and has all commands
    await begin_starts(environment)
    await environment.ready_worker()
    killed.kill()
    await all_succeed(environment, seconds=SOON_SECONDS)
    await nothing_is_lost_or_doubled(environment)


async def test_a_restarted_worker_finishes_its_commands_long_before_its_leases_end(
    environment: FaultEnvironment,
) -> None:
    worker = await environment.ready_worker()
    await begin_starts(environment)
    worker.kill()
    worker.start()
    await all_succeed(environment, seconds=SOON_SECONDS)
    await nothing_is_lost_or_doubled(environment)


class CutOff:
    """A worker with separate links to the broker and to PostgreSQL."""

    def __init__(self, worker: KillableWorker, amqp: TcpProxy, database: TcpProxy) -> None:
        self.worker = worker
        self.amqp = amqp
        self.database = database

    def cut(self) -> None:
        """Cut its connections. The process continues, and so do its API requests."""
        for link in (self.amqp, self.database):
            link.refuse()
            link.cut()

    async def restore(self) -> None:
        await asyncio.gather(self.amqp.restore(), self.database.restore())
        await self.worker.ready()


@asynccontextmanager
async def worker_to_cut_off(
    environment: FaultEnvironment, amqp_url: str, postgresql_url: str
) -> AsyncIterator[CutOff]:
    async with proxy_to(amqp_url) as amqp, proxy_to(postgresql_url) as database:
        worker = environment.worker(
            AMQP_URL=through(amqp, amqp_url), DATABASE_URL=through(database, postgresql_url)
        )
        worker.start()
        await worker.ready()
        yield CutOff(worker, amqp, database)
        worker.kill()


async def test_a_living_replica_that_lost_its_session_during_its_calls_doubles_no_start(
    environment: FaultEnvironment, amqp_url: str, postgresql_url: str
) -> None:
    async with worker_to_cut_off(environment, amqp_url, postgresql_url) as lost:
        await begin_starts(environment, answer_seconds=6.0)
        await environment.ready_worker()
        lost.cut()
        await all_succeed(environment, seconds=SOON_SECONDS)
        await lost.restore()  # it has its answers by now, or gets them soon
        await nothing_is_lost_or_doubled(environment)


async def test_a_call_that_the_api_executes_after_the_takeover_is_awaited_and_not_repeated(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> None:
    async with open_fault_environment(
        amqp_url,
        postgresql_url,
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_LEASE_SECONDS=f"{LEASE_SECONDS:g}",
        WORKER_API_TIMEOUT_SECONDS="12",
        WORKER_RECONCILE_SECONDS="0.5",
    ) as environment:
        late = Fault(kind="late", operation="start*", seconds=7.0)
        environment.sandbox.faults.add(late)
        async with worker_to_cut_off(environment, amqp_url, postgresql_url) as lost:
            await environment.sender.send(start(0), allowed=SUCCEEDED)
            await eventually(lambda: is_triggered(environment), description="the call is in flight")
            await environment.ready_worker()
            lost.cut()
            await environment.recorder.outcome_of("start-0")
            assert len(environment.start_requests()) == 1
            await lost.restore()
            stop = {"type": "stop_recording", "id": "stop", "start_id": "start-0"}
            await environment.sender.send(stop, allowed=SUCCEEDED)
            found = await environment.settled()
        assert found.violations == ()
        assert found.recordings == 1


def is_triggered(environment: FaultEnvironment) -> bool:
    return any(active.triggered for active in environment.sandbox.faults.active())


async def test_after_a_restart_of_postgresql_every_replica_keeps_its_commands(
    amqp_url: str, names_prefix: str, private_postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    async with open_fault_environment(
        amqp_url,
        private_postgresql.new_database(),
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_LEASE_SECONDS=f"{LEASE_SECONDS:g}",
        WORKER_API_TIMEOUT_SECONDS="20",
    ) as environment:
        replicas = [await environment.ready_worker() for _ in range(2)]
        await begin_starts(environment, answer_seconds=4.0)
        await asyncio.to_thread(private_postgresql.stop)
        await asyncio.to_thread(private_postgresql.start)
        await all_succeed(environment, seconds=20.0)
        await nothing_is_lost_or_doubled(environment)
        assert not any("replica_taken_over" in replica.log.read_text() for replica in replicas)


async def test_a_frozen_replica_keeps_its_commands_and_doubles_none_when_it_continues(
    environment: FaultEnvironment,
) -> None:
    frozen = await environment.ready_worker()
    await begin_starts(environment, answer_seconds=1.0)
    frozen.freeze()
    environment.amqp.cut()  # the broker gives its commands to the other one
    other = await environment.ready_worker()
    killed = environment.worker()  # its end is noticed after the other one could notice the first
    killed.start()
    await killed.ready()
    killed.kill()
    await eventually(
        lambda: "replica_taken_over" in other.log.read_text(), description="a takeover"
    )
    assert not environment.recorder.outcomes
    frozen.thaw()
    await all_succeed(environment, seconds=20.0)
    await nothing_is_lost_or_doubled(environment)
