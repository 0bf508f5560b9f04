"""Two bodies with one command id, over a real broker: the first one is executed in every case.

The first body records one person. The second body would record everybody.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import CommandSucceeded
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "start_track_recording"


class Scene:
    """A worker, and the meeting of one test."""

    def __init__(self, environment: WorkerEnvironment) -> None:
        self.environment = environment
        self.sandbox = environment.sandbox
        self.meeting = ""
        self.start_id = ""

    def new_meeting(self, *, live: bool = True) -> None:
        self.meeting, self.start_id = str(uuid.uuid4()), f"start-{uuid.uuid4()}"
        self.sandbox.faults.clear()
        self.sandbox.meetings.create(self.meeting, participants=3, live=live)

    @property
    def person(self) -> str:
        return next(iter(self.sandbox.meetings.get(self.meeting).participants))

    async def send_first(self, **more: object) -> None:
        start = {"meeting_id": self.meeting, "user_ids": [self.person], **more}
        await self.environment.start(self.start_id, **start)

    async def send_second(self) -> None:
        await self.environment.start(self.start_id, meeting_id=self.meeting)

    async def has_triggered_fault(self) -> None:
        def struck() -> bool:
            return any(active.triggered for active in self.sandbox.faults.active())

        await eventually(struck, seconds=30)

    async def was_asked_for_a_session(self) -> None:
        def asked() -> bool:
            requests = self.environment.requests("active_session")
            return any(request.meeting_id == self.meeting for request in requests)

        await eventually(asked, seconds=30)

    async def restart(self) -> None:
        await self.environment.worker.start()
        await self.environment.worker.ready()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    directory, prefix = tmp_path_factory.mktemp("bodies"), f"bodies-{uuid.uuid4().hex[:8]}"
    async with open_worker_environment(
        rabbitmq.amqp_url, prefix, directory, speed=1
    ) as environment:
        yield Scene(environment)


async def waits_for_a_retry(scene: Scene) -> None:
    scene.sandbox.faults.add(Fault(kind="refuse", operation=START, status=503, count=4))
    await scene.send_first()
    await scene.has_triggered_fault()
    await scene.send_second()


async def is_in_progress_when_its_process_is_killed(scene: Scene) -> None:
    fault = Fault(kind="late", operation=START, seconds=0.8, count=1)
    scene.sandbox.faults.add(fault)
    await scene.send_first()
    await scene.has_triggered_fault()
    await scene.environment.worker.kill()
    await scene.send_second()
    await scene.restart()


async def is_parked_until_its_session_begins(scene: Scene) -> None:
    scene.new_meeting(live=False)
    await scene.send_first(wait_for_session=True)
    await scene.was_asked_for_a_session()
    await scene.send_second()
    scene.sandbox.meetings.join(scene.meeting, scene.person)


@pytest.mark.parametrize(
    "first_body",
    [
        waits_for_a_retry,
        is_in_progress_when_its_process_is_killed,
        is_parked_until_its_session_begins,
    ],
)
async def test_the_first_body_is_executed_while_it(
    scene: Scene, first_body: Callable[[Scene], Awaitable[None]]
) -> None:
    scene.new_meeting()
    await first_body(scene)
    outcome = await scene.environment.outcome(scene.start_id)
    assert isinstance(outcome.data, CommandSucceeded)
    (started,) = (
        entry for entry in scene.sandbox.request_log.started if entry.meeting_id == scene.meeting
    )
    assert outcome.data.recording_ids == (started.recording_id,)
    assert started.user_ids == (scene.person,)
