"""Draining the consumer: it takes no new deliveries, and every handler may finish."""

import asyncio
from typing import Any

import pytest

from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBenches,
    acknowledge,
)
from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.messages import Ack, Delivery, Outgoing, Settlement
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology


class WatchedPublisher(Publisher):
    """A publisher that sets `wait_begun` when a caller waits until it is ready."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wait_begun = asyncio.Event()

    async def wait_ready(self) -> None:
        self.wait_begun.set()
        await super().wait_ready()


async def test_after_a_drain_nothing_is_delivered_again(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def acknowledge_later(_delivery: Delivery) -> Settlement:
        await asyncio.sleep(0)
        return Ack()

    bench = await benches.bench(acknowledge_later)
    async with bench.running():
        for number in range(300):
            await bench.publisher.publish(
                Outgoing(
                    exchange=bench.topology.exchange("commands"),
                    routing_key="k",
                    body=str(number).encode(),
                )
            )
            if number == 150:
                await eventually(lambda: bench.deliveries)  # consuming may begin late
                draining = asyncio.create_task(bench.consumer.drain())
            if number == 250:
                await eventually(bench.consumer.deliveries_ended.is_set)
        await draining
        await asyncio.wait([bench.consumer_task])
        left = await bench.count(bench.topology.command_queue)
        delivered = len(bench.deliveries)
    assert len(set(bench.bodies)) == delivered
    assert delivered + (left or 0) == 300
    assert 0 < delivered < 300


async def test_a_drain_waits_for_the_handlers_and_sends_their_acknowledgements(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    release = asyncio.Event()

    async def wait_for_release(_delivery: Delivery) -> Settlement:
        await release.wait()
        return Ack()

    bench = await benches.bench(wait_for_release)
    async with bench.running():
        for number in range(5):
            await bench.send(str(number).encode())
        await eventually(lambda: len(bench.deliveries) == 5)
        draining = asyncio.create_task(bench.consumer.drain())
        await eventually(bench.consumer.deliveries_ended.is_set)
        await bench.send(b"late")
        assert not draining.done()
        release.set()
        await draining
        await asyncio.wait([bench.consumer_task])
        left = await bench.get(bench.topology.command_queue)
        assert left is not None
        assert (left.body, left.redelivered) == (b"late", False)
        assert await bench.count(bench.topology.command_queue) == 0


async def test_a_drain_ends_at_once_while_there_is_no_broker() -> None:
    link = BrokerConnection(lambda: "amqp://guest:guest@127.0.0.1:1/", "consume")
    topology = Topology()
    publisher = Publisher(
        BrokerConnection(lambda: "amqp://127.0.0.1:1/", "publish"), topology, timeout=1
    )
    consumer = Consumer(link, topology, publisher, acknowledge, prefetch=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        await asyncio.sleep(0)
        await consumer.drain()


async def test_a_drain_ends_at_once_while_publishing_is_not_ready(
    benches: BrokerBenches, amqp_url: str, eventually: Eventually
) -> None:
    unreachable = BrokerConnection(lambda: "amqp://127.0.0.1:1/", "publish")
    publisher = WatchedPublisher(unreachable, Topology(), timeout=1)
    link = BrokerConnection(lambda: amqp_url, "consume")
    consumer = Consumer(link, Topology(), publisher, acknowledge, prefetch=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        await eventually(publisher.wait_begun.is_set)
        await consumer.drain()


@pytest.mark.parametrize("turns", range(2, 9))
async def test_a_drain_ends_with_its_connection_although_a_call_is_in_progress(
    benches: BrokerBenches, eventually: Eventually, turns: int
) -> None:
    """In some turns of the event loop the library loses the end of the call. It would take 15 s."""
    link = await benches.proxy()
    bench = await benches.bench(acknowledge, proxy=link)
    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        link.refuse()
        link.cut()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await bench.consumer.drain()
            await asyncio.wait([bench.consumer_task])
