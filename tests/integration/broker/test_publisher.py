"""Publishing to a real RabbitMQ: confirmations, returned messages, broken connections."""

import asyncio
from datetime import UTC, datetime

import aio_pika
import msgspec
import pytest

from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBenches,
    acknowledge,
    event,
)
from worker.broker.messages import Outgoing
from worker.domain.errors import BrokerUnavailable, LostInFlight


async def test_a_confirmed_message_is_in_its_queue_with_all_its_properties(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        published = await bench.publisher.publish(
            Outgoing(
                exchange="",
                routing_key=bench.topology.dead_queue,
                body=b'{"a":1}',
                message_id="m-1",
                type="t",
                content_type="application/json",
                correlation_id="c-1",
                timestamp=1_800_000_000.0,
                headers={"traceparent": "00-1"},
                mandatory=True,
            )
        )
        found = await bench.get(bench.topology.dead_queue)
    assert published is True
    assert found is not None
    assert (found.body, found.message_id, found.type) == (b'{"a":1}', "m-1", "t")
    assert (found.correlation_id, found.content_type) == ("c-1", "application/json")
    assert found.headers["traceparent"] == "00-1"
    assert found.timestamp == datetime.fromtimestamp(1_800_000_000, UTC)
    assert found.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_publish_returns_false_only_for_an_unroutable_mandatory_message(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        optional = Outgoing(exchange="", routing_key="nobody", body=b"x", message_id="a")
        mandatory = msgspec.structs.replace(optional, mandatory=True, message_id="b")
        assert await bench.publisher.publish(optional) is True
        assert await bench.publisher.publish(mandatory) is False
        assert await bench.publisher.publish(event(bench.topology)) is True


async def test_publish_all_returns_one_result_for_each_message_and_keeps_their_order(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running(), bench.raw.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(bench.topology.exchange("status"), "#")
        small = [event(bench.topology, message_id=f"m-{number}") for number in range(50)]
        unroutable = Outgoing(exchange="", routing_key="nobody", body=b"x", mandatory=True)
        invalid = Outgoing(exchange="", routing_key="k" * 300, body=b"x")
        large = event(bench.topology, b"l" * 300_000, message_id="large")
        batch = [*small[:25], unroutable, invalid, *small[25:], large]
        results = await bench.publisher.publish_all(batch)
        received = [await queue.get(no_ack=True) for _ in range(51)]
    assert "255 bytes" in str(results.pop(26))
    assert results == [*[True] * 25, False, *[True] * 26]
    sent_ids = [message.message_id for message in [*small, large]]
    assert [message.message_id for message in received] == sent_ids
    assert received[-1].body == large.body


async def test_publish_returns_false_for_an_unroutable_message_without_an_id(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        unroutable = Outgoing(exchange="", routing_key="nobody", body=b"x", mandatory=True)
        assert await bench.publisher.publish(unroutable) is False


async def test_simultaneous_publishes_with_the_same_message_id_all_return(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        routable = event(bench.topology, message_id="same")
        unroutable = msgspec.structs.replace(
            routable, exchange="", routing_key="nobody", mandatory=True
        )
        async with asyncio.timeout(20):
            published = await asyncio.gather(
                *(bench.publisher.publish(message) for message in [routable, unroutable] * 10)
            )
    assert published == [True, False] * 10


async def test_a_broken_connection_fails_the_publishes_in_flight_and_does_not_cancel_them(
    benches: BrokerBenches,
) -> None:
    proxy = await benches.proxy()
    bench = await benches.bench(acknowledge, proxy=proxy)
    async with bench.running():
        proxy.stall()
        publishes = [
            asyncio.create_task(bench.publisher.publish(event(bench.topology))) for _ in range(20)
        ]
        await asyncio.sleep(0)
        proxy.cut()
        await proxy.restore()
        results = await asyncio.gather(*publishes, return_exceptions=True)
    assert {type(result) for result in results} <= {LostInFlight, BrokerUnavailable, bool}


async def test_an_unconfirmed_publish_ends_at_its_deadline(benches: BrokerBenches) -> None:
    proxy = await benches.proxy()
    bench = await benches.bench(acknowledge, proxy=proxy, timeout=0.3)
    async with bench.running():
        proxy.stall()
        publishes = (bench.publisher.publish(event(bench.topology)) for _ in range(20))
        async with asyncio.timeout(5):
            results = await asyncio.gather(*publishes, return_exceptions=True)
        await proxy.restore()
    assert all(isinstance(result, BrokerUnavailable) for result in results)


async def test_after_a_missing_confirmation_the_publisher_is_not_ready_and_then_recovers(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    proxy = await benches.proxy()
    bench = await benches.bench(acknowledge, proxy=proxy, timeout=0.3)
    async with bench.running():
        proxy.stall()
        with pytest.raises(BrokerUnavailable):
            await bench.publisher.publish(event(bench.topology))
        assert bench.publishing.unavailable_reason is not None
        await proxy.restore()
        await eventually(bench.can_publish)
        await eventually(lambda: bench.publishing.unavailable_reason is None)


async def test_a_deleted_exchange_is_declared_again(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        # The consumer also declares the topology, and must do so before the deletion.
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        async with bench.raw.channel() as channel:
            await channel.exchange_delete(bench.topology.exchange("status"))
        with pytest.raises(BrokerUnavailable):
            await bench.publisher.publish(event(bench.topology))
        await eventually(bench.can_publish)


async def test_a_message_that_cannot_be_encoded_fails_alone(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        invalid = event(bench.topology, routing_key="k" * 300)
        with pytest.raises(BrokerUnavailable):
            await bench.publisher.publish(invalid)
        assert await bench.publisher.publish(event(bench.topology)) is True
