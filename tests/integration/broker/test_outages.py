"""The broker is killed, or raises a memory alarm."""

import asyncio
from contextlib import AsyncExitStack

import aio_pika
import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBenches,
    acknowledge,
    event,
)
from worker.broker.messages import Ack, Delivery, Settlement
from worker.domain.errors import BrokerUnavailable


async def test_after_kill_9_of_the_broker_consuming_and_publishing_resume(
    private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    async with AsyncExitStack() as resources:
        broker = BrokerBenches(private_rabbitmq.amqp_url, "survivor", resources)
        bench = await broker.bench(acknowledge, timeout=2)
        resources.pop_all()  # a killed node ends the raw connection and the queues
        async with bench.running():
            await bench.send(b"before", message_id="m-1")
            await eventually(lambda: bench.bodies == [b"before"])
            await asyncio.to_thread(private_rabbitmq.kill)
            with pytest.raises(BrokerUnavailable):
                await bench.publisher.publish(event(bench.topology))
            await asyncio.to_thread(private_rabbitmq.start)
            async with await aio_pika.connect(private_rabbitmq.amqp_url) as raw:
                bench.raw = raw

                async def command_arrives() -> bool:
                    return b"after" in bench.bodies

                await eventually(lambda: bench.consuming.unavailable_reason is None, seconds=60)
                await bench.send(b"after", message_id="m-2")
                await eventually(command_arrives, seconds=30)


@pytest.mark.timeout(240)
async def test_during_a_memory_alarm_publishes_time_out_and_acknowledgements_continue(
    private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    async with AsyncExitStack() as resources:
        broker = BrokerBenches(private_rabbitmq.amqp_url, "alarmed", resources)
        release = asyncio.Event()

        async def wait_for_release(_delivery: Delivery) -> Settlement:
            await release.wait()
            return Ack()

        bench = await broker.bench(wait_for_release, timeout=0.5)

        async def unacknowledged() -> int:
            queue = bench.topology.command_queue
            return await asyncio.to_thread(
                private_rabbitmq.count_messages, queue, "messages_unacknowledged"
            )

        async with bench.running():
            await bench.send(b"one", message_id="m-1")
            await eventually(lambda: bench.deliveries)
            await asyncio.to_thread(private_rabbitmq.set_memory_alarm, on=True)

            async def publish_times_out() -> bool:
                try:
                    await bench.publisher.publish(event(bench.topology))
                except BrokerUnavailable:
                    return True
                return False

            # The broker blocks a connection a moment after it has raised the alarm.
            await eventually(publish_times_out)
            assert bench.publishing.unavailable_reason is not None
            assert await unacknowledged() == 1
            release.set()
            await eventually(lambda: bench.consumer.in_flight == 0)

            async def is_acknowledged() -> bool:
                return await unacknowledged() == 0

            await eventually(is_acknowledged)
            await asyncio.to_thread(private_rabbitmq.set_memory_alarm, on=False)
            await eventually(bench.can_publish, seconds=40)
