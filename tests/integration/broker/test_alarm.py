"""A broker with a memory alarm blocks publishers; acknowledgements continue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from worker.broker.connection import BrokerConnection
from worker.broker.messages import Outgoing
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.domain.errors import BrokerUnavailable


@pytest.fixture
async def publishing(
    private_rabbitmq: RabbitMQNode,
) -> AsyncIterator[tuple[BrokerConnection, Publisher, Topology]]:
    link = BrokerConnection(lambda: private_rabbitmq.amqp_url, "publish")
    topology = Topology(prefix="alarm", retry_delays=(1.0,))
    publisher = Publisher(link, topology, timeout=1.5)
    running = asyncio.create_task(link.run(publisher.session))
    yield link, publisher, topology
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.timeout(240)
async def test_under_an_alarm_publishing_fails_at_its_deadline_with_a_reason_and_recovers(
    private_rabbitmq: RabbitMQNode,
    publishing: tuple[BrokerConnection, Publisher, Topology],
    eventually: Any,
) -> None:
    link, publisher, topology = publishing

    def available() -> bool:
        assert link.unavailable_reason is None
        return True

    message = Outgoing(exchange="", routing_key=topology.command_queue, body=b"{}", mandatory=True)
    await eventually(available, seconds=30, description="a fresh broker has the topology")
    assert await publisher.publish(message)
    await asyncio.to_thread(private_rabbitmq.set_memory_alarm, True)

    async def names_the_alarm() -> bool:
        with contextlib.suppress(BrokerUnavailable):
            # The broker blocks a publisher at its next message, and may take one after the alarm.
            await publisher.publish(message)
        return "alarm" in (link.unavailable_reason or "")

    await eventually(names_the_alarm)
    with pytest.raises(BrokerUnavailable, match="blocks publishers"):
        await publisher.publish(message)
    await asyncio.to_thread(private_rabbitmq.set_memory_alarm, False)
    await eventually(available, seconds=30, description="the broker takes messages after the alarm")
    assert await publisher.publish(message)
