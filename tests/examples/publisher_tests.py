"""Tests that every publisher among the examples passes, in any language."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples.example_process import error_of, output_of
from tests.examples.virtual_host import PASSWORD, VirtualHost


class PublisherTests:
    """Inherit it in a class whose name begins with Test."""

    program: ClassVar[Sequence[str | Path]]
    folder: ClassVar[Path]
    user: ClassVar[str]
    """The user in `examples/permissions.json` whose permissions it has."""

    unroutable_error: ClassVar[str] = "PublishError"

    async def test_the_publisher_prints_the_recording_also_when_it_is_run_again(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment
    ) -> None:
        url, meeting = virtual_host.user(self.user), str(uuid.uuid4())
        command = (*self.program, meeting, f"start-{meeting}")
        printed = [await output_of(command, folder=self.folder, AMQP_URL=url) for _ in range(2)]
        status = await environment.event(StatusChanged, meeting_id=meeting)
        assert printed == [f"{status.subject}\n"] * 2

    async def test_another_command_with_its_id_is_an_error(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment
    ) -> None:
        """Its reply has the outcome of the first command, whose recording is not its own."""
        url, meeting = virtual_host.user(self.user), str(uuid.uuid4())
        await environment.send(
            type="start_track_recording", id=f"taken-{meeting}", meeting_id=str(uuid.uuid4())
        )
        await environment.outcome(f"taken-{meeting}")
        command = (*self.program, meeting, f"taken-{meeting}")
        assert "is taken" in await error_of(command, folder=self.folder, AMQP_URL=url)

    async def test_a_command_that_no_queue_takes_is_an_error(self, unroutable_url: str) -> None:
        assert self.unroutable_error in await self._error(unroutable_url)

    async def test_the_publisher_ends_when_it_is_refused(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment
    ) -> None:
        """Neither a wrong password nor a missing permission is tried again and again."""
        subscriber = virtual_host.user("go-subscriber")  # may not write commands
        wrong_password = subscriber.replace(f":{PASSWORD}@", ":wrong@")
        for url in (subscriber, wrong_password):
            assert "ACCESS_REFUSED" in await self._error(url)

    async def test_the_publisher_ends_without_its_exchange(self, rabbitmq: RabbitMQNode) -> None:
        empty = VirtualHost(rabbitmq)
        try:
            error = await self._error(empty.amqp_url)
        finally:
            empty.delete()
        assert "NOT_FOUND" in error

    async def _error(self, amqp_url: str) -> str:
        command = (*self.program, str(uuid.uuid4()), "start-1")
        return await error_of(command, folder=self.folder, AMQP_URL=amqp_url)
