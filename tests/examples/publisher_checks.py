"""What every publisher among the examples must do when RabbitMQ refuses it for good."""

import uuid
from collections.abc import Sequence
from pathlib import Path

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.examples.example_process import error_of
from tests.examples.virtual_host import PASSWORD, VirtualHost


async def check_that_a_refused_publisher_ends(
    program: Sequence[str | Path], folder: Path, virtual_host: VirtualHost
) -> None:
    """Neither a wrong password nor a missing permission is tried again and again."""
    subscriber = virtual_host.user("go-subscriber")  # may not write commands
    wrong_password = subscriber.replace(f":{PASSWORD}@", ":wrong@")
    command = (*program, str(uuid.uuid4()), "start-1")
    for url in (subscriber, wrong_password):
        assert "ACCESS_REFUSED" in await error_of(command, folder=folder, AMQP_URL=url)


async def check_that_a_publisher_without_its_exchange_ends(
    program: Sequence[str | Path], folder: Path, rabbitmq: RabbitMQNode
) -> None:
    """No worker has ever created the exchange of commands."""
    empty = VirtualHost(rabbitmq)
    try:
        command = (*program, str(uuid.uuid4()), "start-1")
        error = await error_of(command, folder=folder, AMQP_URL=empty.amqp_url)
    finally:
        empty.delete()
    assert "NOT_FOUND" in error
