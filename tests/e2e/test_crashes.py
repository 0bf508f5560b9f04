"""kill -9 at many moments of a recording's life; then the same worker is started again.

All crashes happen at the same time, in separate environments.
"""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import CommandSucceeded, Completed, FileReady, StatusChanged
from tests.e2e import event_assertions
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW_LIFE = Behaviour(invoked_seconds=5, uploading_seconds=5)
"""Long enough for a running worker to see every status."""


class Moment(NamedTuple):
    """When to kill: as soon as `is_reached` is true. `fault` prolongs the moment."""

    is_reached: Callable[[WorkerEnvironment], bool]
    fault: Fault | None = None


def has_triggered_fault(environment: WorkerEnvironment) -> bool:
    return any(active.triggered for active in environment.sandbox.faults.active())


def has_passed(status: str) -> Callable[[WorkerEnvironment], bool]:
    return lambda environment: any(
        transition.status == status for transition in environment.sandbox.request_log.transitions
    )


def has_published(kind: type) -> Callable[[WorkerEnvironment], bool]:
    return lambda environment: any(
        isinstance(event.data, kind) for event in environment.messages.events
    )


def slow(operation: str, *, skip: int = 0) -> Fault:
    return Fault(kind="slow", operation=operation, seconds=0.9, skip=skip, count=1)


MOMENTS = {
    "while the API has yet to execute the start": Moment(
        has_triggered_fault,
        Fault(kind="late", operation="start_track_recording", seconds=0.8, count=1),
    ),
    "while the answer to the start is on its way": Moment(
        has_passed("INVOKED"), slow("start_track_recording")
    ),
    "as soon as the recording exists": Moment(has_passed("INVOKED")),
    "when the start's outcome is out": Moment(has_published(CommandSucceeded)),
    "when the first status is out": Moment(has_published(StatusChanged)),
    "while the answer to the pause is on its way": Moment(
        has_passed("PAUSED"), slow("change_recording")
    ),
    "while the answer to the stop is on its way": Moment(
        has_passed("UPLOADING"), slow("change_recording", skip=2)
    ),
    "when the files lie ready and nobody has looked": Moment(has_passed("UPLOADED")),
    "while the files are being read": Moment(has_triggered_fault, slow("list_participants")),
    "when the first file is out": Moment(has_published(FileReady)),
}
ON_POSTGRESQL = "on PostgreSQL, while the answer to the start is on its way"
Campaign = dict[str, asyncio.Task[WorkerEnvironment]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def campaign(
    rabbitmq: RabbitMQNode, postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Campaign]:
    def begin(moment: Moment, **more: str) -> asyncio.Task[WorkerEnvironment]:
        directory = tmp_path_factory.mktemp("crash")
        return asyncio.create_task(crash(rabbitmq.amqp_url, directory, moment, **more))

    tasks = {name: begin(moment) for name, moment in MOMENTS.items()}
    database = postgresql.new_database()
    moment = MOMENTS["while the answer to the start is on its way"]
    tasks[ON_POSTGRESQL] = begin(moment, DATABASE_URL=database)
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    postgresql.drop_database(database)


async def crash(amqp_url: str, directory: Path, moment: Moment, **more: Any) -> WorkerEnvironment:
    """A recording's whole life, with a crash in it. The environment is over when this returns."""
    prefix = f"crash-{uuid.uuid4().hex[:8]}"
    async with open_worker_environment(
        amqp_url, prefix, directory, speed=1, behaviour=SLOW_LIFE, **more
    ) as environment:
        if moment.fault is not None:
            environment.sandbox.faults.add(moment.fault)
        async with asyncio.TaskGroup() as group:
            group.create_task(kill_and_restart(environment, moment))
            await live(environment)
        return environment


async def kill_and_restart(environment: WorkerEnvironment, moment: Moment) -> None:
    await eventually(lambda: moment.is_reached(environment), seconds=60)
    assert await environment.worker.kill() == -signal.SIGKILL
    # The clock stops, so that no status ends while the worker is down on a slow machine.
    environment.sandbox.clock.set_speed(0)
    await environment.worker.start()
    await environment.worker.ready()
    environment.sandbox.clock.set_speed(1)


async def live(environment: WorkerEnvironment) -> None:
    await environment.start()
    await environment.event(StatusChanged, status="RECORDING", within=60)
    for kind, status in (("pause", "PAUSED"), ("resume", "RECORDING"), ("stop", "UPLOADING")):
        await environment.send(type=f"{kind}_recording", id=f"{kind}-1", start_id="start-1")
        await environment.outcome(f"{kind}-1", within=60)
        await environment.event(StatusChanged, status=status, within=60)
    await environment.event(Completed, within=60)


@pytest.mark.parametrize("name", [*MOMENTS, ON_POSTGRESQL])
async def test_after_kill_9_there_is_one_recording_with_all_its_events(
    campaign: Campaign, name: str
) -> None:
    environment = await campaign[name]
    (started,) = environment.sandbox.request_log.started
    events, request_log = environment.messages.events, environment.sandbox.request_log
    event_assertions.assert_repeats_are_identical(events)
    event_assertions.assert_one_success_each(events, {"start-1", "pause-1", "resume-1", "stop-1"})
    event_assertions.assert_in_order(events, started.recording_id)
    event_assertions.assert_files_and_completion(events, request_log, started.recording_id)
    passed = event_assertions.actual_statuses(request_log, started.recording_id)
    published = event_assertions.published_statuses(events, started.recording_id)
    if name == ON_POSTGRESQL and published[0] != "INVOKED":
        passed.remove("INVOKED")  # It passed by while the dead worker's leases had to run out.
    assert published == passed
