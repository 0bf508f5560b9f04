"""One worker with its sandbox for all tests of a module, in a separate virtual host."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest
import pytest_asyncio

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.examples.virtual_host import VirtualHost


@pytest.fixture(scope="module")
def virtual_host(rabbitmq: RabbitMQNode) -> Iterator[VirtualHost]:
    """Where this module's worker and examples meet."""
    virtual_host = VirtualHost(rabbitmq)
    yield virtual_host
    virtual_host.delete()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment(
    virtual_host: VirtualHost, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerEnvironment]:
    """A worker with its default names."""
    directory: Path = tmp_path_factory.mktemp("worker")
    async with open_worker_environment(
        virtual_host.amqp_url,
        "recording",
        directory,
        speed=20.0,
        WORKER_FILES_SETTLE_SECONDS="0.5",
    ) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module")
async def unroutable_url(rabbitmq: RabbitMQNode) -> AsyncIterator[str]:
    """A broker that has the exchange of commands, and no queue for them."""
    virtual_host = VirtualHost(rabbitmq)
    async with await aio_pika.connect(virtual_host.amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange("recording.commands", "topic", durable=True)
        yield virtual_host.amqp_url
    virtual_host.delete()
