"""The same command id again, also to a worker that has been restarted in between."""

from pathlib import Path

from recording_schemas import CloudEvent
from sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e import accounts
from tests.e2e.processes import PATIENCE, Scene, scene


async def test_a_command_sent_again_is_not_executed_again_and_its_outcome_is_told_again(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with scene(rabbitmq.amqp_url, names_prefix, tmp_path) as stage:
        await stage.start()
        await outcomes(stage, 1)
        await stage.start()
        await outcomes(stage, 2)
        assert await stage.worker.stop() == 0
        await stage.worker.start()
        await stage.start(user_ids=["somebody-else"])
        told = await outcomes(stage, 3)
        assert len({one.id for one in told}) == 1
        accounts.assert_repeats_are_identical(stage.messages.events)
        assert len(stage.requests("start_track_recording")) == 1


async def outcomes(stage: Scene, count: int) -> list[CloudEvent]:
    """Every publication of the outcome, once there are so many."""

    def told(events: list[CloudEvent]) -> list[CloudEvent] | None:
        found = [one for one in events if one.subject == "start-1"]
        return found if len(found) >= count else None

    return await stage.messages.until(told, within=PATIENCE, what=f"outcome number {count}")
