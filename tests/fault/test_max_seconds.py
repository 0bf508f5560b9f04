"""The longest duration of a recording passes while workers die or the API is unavailable."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
import sqlalchemy as sa

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.run_record import SUCCEEDED
from worker.store.database.engine import open_engine
from worker.store.database.schema import leases, recordings

SOON_SECONDS: Final = 4.0
"""The seconds until the longest duration has passed, after the state was changed."""

TAKEOVER_SECONDS: Final = 40.0
"""The lease of a dead leader and the claim of its attempt have ended by then."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def environment(
    request: pytest.FixtureRequest, amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    database = f"sqlite:///{tmp_path / 'state.db'}"
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("postgresql")
        database = server.new_database()
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        yield environment


async def on_database(
    environment: FaultEnvironment, statement: sa.Executable
) -> list[sa.Row[tuple[object, ...]]]:
    """The rows, read in a thread: the way to PostgreSQL leads through a proxy of this loop."""
    return await asyncio.to_thread(_on_database, environment, statement)


def _on_database(
    environment: FaultEnvironment, statement: sa.Executable
) -> list[sa.Row[tuple[object, ...]]]:
    engine = open_engine(environment.settings["DATABASE_URL"])
    with engine.begin() as connection:
        result = connection.execute(statement)
        rows = list(result.all()) if result.returns_rows else []
    engine.dispose()
    return rows


async def started(environment: FaultEnvironment) -> str:
    """Start a recording of limited duration, and return its id when the worker knows its end."""
    command = {
        "type": "start_track_recording",
        "id": "limited",
        "meeting_id": str(uuid.uuid4()),
        "max_seconds": 3600,
    }
    await environment.sender.send(command, allowed=SUCCEEDED)
    outcome = await environment.recorder.outcome_of("limited")
    planned = sa.select(recordings.c.recording_id).where(recordings.c.stop_at.is_not(None))
    await eventually(lambda: on_database(environment, planned), seconds=30)
    return str(msgspec.json.decode(outcome.body)["data"]["recording_ids"][0])


async def end_soon(environment: FaultEnvironment, seconds: float = SOON_SECONDS) -> None:
    """Let the longest duration pass soon instead of in an hour."""
    now = environment.sandbox.clock.now()
    await on_database(environment, sa.update(recordings).values(stop_at=now + seconds))


def transitions(environment: FaultEnvironment, recording_id: str) -> list[str]:
    log = environment.sandbox.request_log
    return [
        transition.status
        for transition in log.transitions
        if transition.recording_id == recording_id
    ]


def stops(environment: FaultEnvironment) -> int:
    """The requests to stop that the API executed."""
    requests = environment.sandbox.request_log.requests
    return sum(
        request.operation == "change_recording" and request.status == 200 for request in requests
    )


async def is_stopped(environment: FaultEnvironment, recording_id: str) -> None:
    await eventually(
        lambda: "UPLOADED" in transitions(environment, recording_id),
        seconds=TAKEOVER_SECONDS,
        description="the recording is stopped",
    )
    assert transitions(environment, recording_id).count("UPLOADING") == 1
    assert stops(environment) == 1
    found = await environment.settled()
    assert found.violations == ()


async def leader_among(
    environment: FaultEnvironment, workers: list[KillableWorker]
) -> KillableWorker:
    """The worker whose owner has the leader's lease."""
    ((owner,),) = await on_database(
        environment, sa.select(leases.c.owner).where(leases.c.name == "leader")
    )
    return next(worker for worker in workers if str(owner) in worker.log.read_text())


@pytest.mark.timeout(150)
async def test_a_worker_that_is_killed_before_and_started_after_the_time_stops_the_recording(
    environment: FaultEnvironment,
) -> None:
    worker = await environment.ready_worker()
    recording_id = await started(environment)
    worker.kill()
    await end_soon(environment, 0.1)
    await asyncio.to_thread(worker.start)
    await is_stopped(environment, recording_id)


@pytest.mark.timeout(150)
async def test_a_killed_leaders_stop_is_made_by_another_replica(
    amqp_url: str, names_prefix: str, tmp_path: Path, postgresql: PostgreSQLServer
) -> None:
    async with open_fault_environment(
        amqp_url, postgresql.new_database(), tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        workers = [await environment.ready_worker() for _ in range(2)]
        recording_id = await started(environment)
        await end_soon(environment)
        (await leader_among(environment, workers)).kill()
        await is_stopped(environment, recording_id)


@pytest.mark.timeout(150)
async def test_an_api_that_is_unavailable_when_a_stop_is_due_executes_one_stop_later(
    environment: FaultEnvironment,
) -> None:
    await environment.ready_worker()
    recording_id = await started(environment)
    environment.api.refuse()
    environment.api.cut()
    await end_soon(environment, 0.0)
    moved = sa.select(recordings.c.stop_at).where(
        recordings.c.stop_at > environment.sandbox.clock.now() + 0.5
    )
    await eventually(lambda: on_database(environment, moved), seconds=30)
    await environment.api.restore()
    await is_stopped(environment, recording_id)
