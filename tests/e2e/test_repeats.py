"""The same command id again, also to a worker that has been restarted in between."""

from pathlib import Path

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import CloudEvent
from tests.e2e import event_assertions
from tests.e2e.worker_environment import (
    EVENT_TIMEOUT_SECONDS,
    WorkerEnvironment,
    open_worker_environment,
)


async def test_a_repeated_command_is_not_executed_again_and_its_outcome_is_published_again(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        await environment.start()
        await outcomes(environment, 1)
        await environment.start()
        await outcomes(environment, 2)
        assert await environment.worker.stop() == 0
        await environment.worker.start()
        await environment.start(user_ids=["somebody-else"])
        published = await outcomes(environment, 3)
        assert len({event.id for event in published}) == 1
        event_assertions.assert_repeats_are_identical(environment.messages.events)
        assert len(environment.requests("start_track_recording")) == 1


async def outcomes(environment: WorkerEnvironment, count: int) -> list[CloudEvent]:
    """Every publication of the outcome, when there are `count`."""

    def published(events: list[CloudEvent]) -> list[CloudEvent] | None:
        found = [event for event in events if event.subject == "start-1"]
        return found if len(found) >= count else None

    return await environment.messages.until(
        published, within=EVENT_TIMEOUT_SECONDS, description=f"outcome number {count}"
    )
