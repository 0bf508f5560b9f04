"""kill -9 at any moment of the path; then the same worker is started again.

All crashes happen side by side, in scenes of their own: each test looks at its own.
"""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from recording_schemas import CommandSucceeded, Completed, FileReady, StatusChanged
from sandbox.model.behaviour import Behaviour
from sandbox.model.faults import Fault
from sandbox.services.postgresql import PostgreSQLServer
from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.waiting import eventually
from tests.e2e import accounts
from tests.e2e.processes import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW_LIFE = Behaviour(invoked_seconds=5, uploading_seconds=5)
"""Long enough for a worker that is up to see every status."""


class Moment(NamedTuple):
    """When to kill: as soon as `come` is true of the scene. `fault` holds the moment open."""

    come: Callable[[Scene], bool]
    fault: Fault | None = None


def struck(scene: Scene) -> bool:
    return any(active.triggered for active in scene.sandbox.faults.active())


def has_passed(status: str) -> Callable[[Scene], bool]:
    return lambda scene: any(one.status == status for one in scene.sandbox.request_log.transitions)


def has_told(kind: type) -> Callable[[Scene], bool]:
    return lambda scene: any(isinstance(one.data, kind) for one in scene.messages.events)


def slow(operation: str, *, skip: int = 0) -> Fault:
    return Fault(kind="slow", operation=operation, seconds=0.9, skip=skip, count=1)


MOMENTS = {
    "while the API has yet to execute the start": Moment(
        struck, Fault(kind="late", operation="start_track_recording", seconds=0.8, count=1)
    ),
    "while the answer to the start is on its way": Moment(
        has_passed("INVOKED"), slow("start_track_recording")
    ),
    "as soon as the recording exists": Moment(has_passed("INVOKED")),
    "when the start's outcome is out": Moment(has_told(CommandSucceeded)),
    "when the first status is out": Moment(has_told(StatusChanged)),
    "while the answer to the pause is on its way": Moment(
        has_passed("PAUSED"), slow("change_recording")
    ),
    "while the answer to the stop is on its way": Moment(
        has_passed("UPLOADING"), slow("change_recording", skip=2)
    ),
    "when the files lie ready and nobody has looked": Moment(has_passed("UPLOADED")),
    "while the files are being read": Moment(struck, slow("list_participants")),
    "when the first file is out": Moment(has_told(FileReady)),
}
ON_POSTGRESQL = "on PostgreSQL, while the answer to the start is on its way"
Campaign = dict[str, asyncio.Task[Scene]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def campaign(
    rabbitmq: RabbitMQNode, postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Campaign]:
    def begin(moment: Moment, **more: str) -> asyncio.Task[Scene]:
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


async def crash(amqp_url: str, directory: Path, moment: Moment, **more: Any) -> Scene:
    """A recording's whole life, with a crash in it. The scene is over when this returns."""
    prefix = f"crash-{uuid.uuid4().hex[:8]}"
    async with scene(amqp_url, prefix, directory, speed=1, behaviour=SLOW_LIFE, **more) as stage:
        if moment.fault is not None:
            stage.sandbox.faults.add(moment.fault)
        async with asyncio.TaskGroup() as group:
            group.create_task(kill_and_restart(stage, moment))
            await live(stage)
        return stage


async def kill_and_restart(stage: Scene, moment: Moment) -> None:
    await eventually(lambda: moment.come(stage), seconds=60)
    assert await stage.worker.kill() == -signal.SIGKILL
    # However long a busy machine takes: no status passes by while nobody can see it.
    stage.sandbox.clock.set_speed(0)
    await stage.worker.start()
    await stage.worker.ready()
    stage.sandbox.clock.set_speed(1)


async def live(stage: Scene) -> None:
    await stage.start()
    await stage.event(StatusChanged, status="RECORDING", within=60)
    for kind, status in (("pause", "PAUSED"), ("resume", "RECORDING"), ("stop", "UPLOADING")):
        await stage.send(type=f"{kind}_recording", id=f"{kind}-1", start_id="start-1")
        await stage.outcome(f"{kind}-1", within=60)
        await stage.event(StatusChanged, status=status, within=60)
    await stage.event(Completed, within=60)


@pytest.mark.parametrize("name", [*MOMENTS, ON_POSTGRESQL])
async def test_after_kill_9_there_is_one_recording_with_all_its_events(
    campaign: Campaign, name: str
) -> None:
    scene = await campaign[name]
    (started,) = scene.sandbox.request_log.started
    events, ledger = scene.messages.events, scene.sandbox.request_log
    accounts.assert_repeats_are_identical(events)
    accounts.assert_one_success_each(events, {"start-1", "pause-1", "resume-1", "stop-1"})
    accounts.assert_in_order(events, started.recording_id)
    accounts.assert_files_and_completion(events, ledger, started.recording_id)
    passed = accounts.statuses_passed(ledger, started.recording_id)
    told = accounts.statuses_told(events, started.recording_id)
    if name == ON_POSTGRESQL and told[0] != "INVOKED":
        passed.remove("INVOKED")  # It passed by while the dead worker's leases had to run out.
    assert told == passed
