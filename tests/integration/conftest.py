"""Fixtures of the tests of the broker and of `recording-worker dead`."""

from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from tests.integration.broker.broker_bench import BrokerBenches, open_broker_benches
from tests.integration.cli_process import CommandLine
from tests.integration.dead_letter_queue import BrokerQueues, open_broker_queues


@pytest.fixture
def cli(amqp_url: str, names_prefix: str, tmp_path: Path) -> CommandLine:
    """The command line, for the queues of this test."""
    return CommandLine({"AMQP_URL": amqp_url, "WORKER_NAME_PREFIX": names_prefix}, tmp_path)


@pytest.fixture
async def broker(amqp_url: str, names_prefix: str) -> AsyncIterator[BrokerQueues]:
    """The command queue and the dead letters of this test."""
    async with open_broker_queues(amqp_url, names_prefix) as broker:
        yield broker


@pytest.fixture
async def benches(amqp_url: str, names_prefix: str) -> AsyncIterator[BrokerBenches]:
    """Consumers and publishers with the exchanges and queues of this test."""
    async with open_broker_benches(amqp_url, names_prefix) as benches:
        yield benches


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of its own."""
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        yield await connection.channel()
