"""Consuming and settling commands on a real RabbitMQ, also after connections were lost."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity
from aio_pika.tools import OneShotCallback
from structlog.testing import capture_logs

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import (
    BrokerBench,
    BrokerBenches,
    acknowledge,
    declare_all,
    open_broker_benches,
)
from worker.broker.aiormq.delivery_decoder import DeliveryAssembler
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.raw_channel import raw_channel
from worker.broker.connection import BrokerConnection, Session, open_channel
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.domain.errors import BrokerUnavailable


async def test_an_acknowledged_command_leaves_the_queue(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        await bench.send(b"one", message_id="m")
        await eventually(lambda: bench.deliveries)
        await bench.consumer.drain()
        await asyncio.wait([bench.consumer_task])
        assert await bench.count(bench.topology.command_queue) == 0
    assert bench.bodies == [b"one"]


async def test_a_retried_command_returns_unchanged_with_its_attempt_counted(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def retry_once(delivery: Delivery) -> Settlement:
        if "x-attempts" in delivery.headers:
            return Ack()
        return Retry(delay_seconds=0.05, code="busy", reason="not now")

    bench = await benches.bench(retry_once)
    headers = {"traceparent": "00-1", "number": 7, "flag": True, "list": ["a", 1]}
    async with bench.running():
        await bench.send(
            b"\x00\xff bytes",
            message_id="m",
            correlation_id="c",
            reply_to="r",
            content_type="application/json",
            headers=headers,
        )
        await eventually(lambda: len(bench.deliveries) == 2)
    first, second = bench.deliveries
    assert second.body == first.body == b"\x00\xff bytes"
    assert (second.message_id, second.correlation_id, second.reply_to) == ("m", "c", "r")
    assert (second.content_type, second.routing_key) == ("application/json", "some.key")
    assert {name: second.headers[name] for name in headers} == headers
    assert second.headers["x-attempts"] == 1
    assert second.headers["x-reason-code"] == "busy"


async def test_retries_count_the_attempts_and_keep_the_time_of_the_first_delivery(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def retry_three_times(delivery: Delivery) -> Settlement:
        if delivery.headers.get("x-attempts") == 3:
            return Dead(code="enough", reason="three times")
        return Retry(delay_seconds=0.05, code="busy", reason="not now")

    bench = await benches.bench(retry_three_times)
    async with bench.running():
        await bench.send(b"x", message_id="m")
        dead = await eventually(lambda: bench.get(bench.topology.dead_queue))
    assert dead is not None
    assert dead.headers["x-attempts"] == 4
    first_seen = {message.headers.get("x-first-seen") for message in bench.deliveries[1:]}
    assert first_seen == {dead.headers["x-first-seen"]}
    assert dead.headers["x-reason-code"] == "enough"


async def test_a_dead_letter_keeps_its_bytes_and_names_the_reason(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def dead(_delivery: Delivery) -> Settlement:
        return Dead(code="not_json", reason="the body is not JSON" + "!" * 5000)

    bench = await benches.bench(dead)
    async with bench.running():
        await bench.send(b"\xff\xfe", message_id="m", headers={"mine": "kept"})
        found = await eventually(lambda: bench.get(bench.topology.dead_queue))
    assert found is not None
    assert (found.body, found.message_id, found.routing_key) == (b"\xff\xfe", "m", "some.key")
    assert found.headers["x-reason-code"] == "not_json"
    assert str(found.headers["x-reason"]).startswith("the body is not JSON!")
    assert found.headers["mine"] == "kept"


async def test_an_unexpected_exception_ends_the_consumer(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def fails(_delivery: Delivery) -> Settlement:
        raise ZeroDivisionError

    bench = await benches.bench(fails)
    await declare_all(bench)
    await bench.send(b"x")
    with pytest.raises(ExceptionGroup) as caught:
        await bench.run_until_the_consumer_ends()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_handler_that_outlives_its_connection_finishes_and_the_command_is_delivered_again(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    lost = asyncio.Event()

    async def slow(_delivery: Delivery) -> Settlement:
        await lost.wait()
        return Ack()

    proxy = await benches.proxy()
    bench = await benches.bench(slow, proxy=proxy)
    async with bench.running():
        await bench.send(b"x", message_id="m")
        await eventually(lambda: bench.deliveries)
        proxy.cut()
        await eventually(lambda: bench.connections > 1)  # so the first delivery is lost
        lost.set()
        await eventually(lambda: len(bench.deliveries) == 2)
        await bench.consumer.drain()
        await asyncio.wait([bench.consumer_task])
        assert await bench.count(bench.topology.command_queue) == 0
    assert bench.deliveries[1].redelivered


async def test_a_queue_deleted_while_consuming_is_declared_again_and_consuming_resumes(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        before = bench.connections
        async with bench.raw.channel() as channel:
            await channel.queue_delete(bench.topology.command_queue)
        # The unready state may be over before the test reads it; a new connection is permanent
        # evidence.
        await eventually(
            lambda: bench.connections > before and bench.consuming.unavailable_reason is None
        )
        await bench.send(b"after", message_id="m")
        await eventually(lambda: bench.bodies == [b"after"])


async def test_a_consumer_missing_on_the_broker_is_noticed_and_consumes_again(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        await bench.consumer.cancel_on_the_broker()
        await bench.send(b"after", message_id="m")
        await eventually(lambda: bench.bodies == [b"after"])
    assert bench.connections == 2


DECLARE_AGAIN: Final = """
Name = rabbit_misc:r(<<"/">>, queue, <<"{queue}">>),
{{ok, Queue}} = rabbit_amqqueue:lookup(Name),
{{ok, _}} = rabbit_amqqueue:delete(Queue, false, false, <<"test">>),
{{new, _}} = rabbit_amqqueue:declare(
    Name, true, false, amqqueue:get_arguments(Queue), none, <<"test">>),
done.
"""


async def test_a_consumer_of_a_queue_that_was_declared_again_at_once_receives_after_a_renewal(
    rabbitmq: RabbitMQNode, benches: BrokerBenches, eventually: Eventually
) -> None:
    """The broker counts this consumer, and its channel drops what the new queue delivers."""
    bench = await benches.bench(acknowledge, renewal_interval=0.5)
    async with bench.running():
        await bench.send(b"before", message_id="m1")
        await eventually(lambda: bench.bodies == [b"before"])
        queue = bench.topology.command_queue
        await asyncio.to_thread(rabbitmq.evaluate, DECLARE_AGAIN.format(queue=queue))
        async with bench.raw.channel() as channel:
            await channel.default_exchange.publish(Message(b"after"), queue)
        await eventually(lambda: b"after" in bench.bodies)


async def test_a_silent_consumer_is_renewed_without_a_new_connection(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge, renewal_interval=0.05)
    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        for number in range(20):
            await bench.send(b"%d" % number, message_id="m")
            await eventually(lambda: len(bench.deliveries) == number + 1)  # noqa: B023
        await bench.consumer.drain()
        await asyncio.wait([bench.consumer_task])
        assert await bench.count(bench.topology.command_queue) == 0
    # The broker takes back what it delivered to a consumer that was being cancelled. Such a message
    # was not handled before, although it is marked as redelivered.
    assert bench.bodies == [b"%d" % number for number in range(20)]
    assert bench.connections == 1


async def test_nothing_of_a_channel_that_was_renewed_is_kept(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    """A check of the topology in between opens a channel, so the numbers of channels grow."""
    bench = await benches.bench(acknowledge, renewal_interval=0.0, topology_check_interval=0.0)
    before = kept(DeliveryAssembler)
    async with bench.running():
        await eventually(lambda: bench.consumer.started >= 5)
        assert kept(DeliveryAssembler) <= before + 1


async def close_as_a_user(channel: AbstractChannel) -> None:
    await channel.close()


async def close_below_the_library(channel: AbstractChannel) -> None:
    await (await raw_channel(channel)).close()


async def let_the_broker_close(channel: AbstractChannel) -> None:
    with pytest.raises(ChannelNotFoundEntity):
        await channel.get_exchange("missing")


@pytest.mark.parametrize("end", [close_as_a_user, close_below_the_library, let_the_broker_close])
async def test_a_connection_keeps_nothing_of_its_closed_channels(
    benches: BrokerBenches,
    eventually: Eventually,
    end: Callable[[AbstractChannel], Awaitable[None]],
) -> None:
    bench = await benches.bench(acknowledge)
    before = kept(OneShotCallback)
    for _ in range(5):
        await end(await bench.raw.channel())
    # The library may still refer to the last one.
    await eventually(lambda: kept(OneShotCallback) <= before + 1)


def kept(kind: type) -> int:
    """The number of objects of a class in the process."""
    gc.collect()
    return sum(isinstance(kept_object, kind) for kept_object in gc.get_objects())


async def test_a_retry_queue_that_was_deleted_is_declared_again_for_the_command_that_needs_it(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def decide(delivery: Delivery) -> Settlement:
        return Ack() if delivery.attempts else Retry(delay_seconds=0.0, code="c", reason="r")

    bench = await benches.bench(decide)
    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        async with bench.raw.channel() as channel:
            await channel.queue_delete(bench.topology.retry_queue(0.0))
        await bench.send(b"again", message_id="m")
        await eventually(lambda: bool(bench.deliveries and bench.deliveries[-1].attempts))


async def delete_exchange_of_commands(bench: BrokerBench) -> None:
    async with bench.raw.channel() as channel:
        await channel.exchange_delete(bench.topology.exchange("commands"))


async def remove_binding_of_commands(bench: BrokerBench) -> None:
    async with bench.raw.channel() as channel:
        queue = await channel.get_queue(bench.topology.command_queue, ensure=False)
        await queue.unbind(bench.topology.exchange("commands"), "#")


async def delete_dead_letter_queue(bench: BrokerBench) -> None:
    async with bench.raw.channel() as channel:
        await channel.queue_delete(bench.topology.dead_queue)


@pytest.mark.parametrize(
    "remove", [delete_exchange_of_commands, remove_binding_of_commands, delete_dead_letter_queue]
)
async def test_removed_parts_of_the_topology_are_declared_again(
    remove: Callable[[BrokerBench], Awaitable[None]],
    benches: BrokerBenches,
    eventually: Eventually,
) -> None:
    """The broker does not notify consumers: publishers get an error, or lose their messages."""

    async def decide(_delivery: Delivery) -> Settlement:
        return Dead(code="bad", reason="it is bad")

    bench = await benches.bench(decide, topology_check_interval=0.1)

    async def arrives_and_is_kept() -> bool:
        try:
            await bench.send(b"bad")
            return bool(await bench.count(bench.topology.dead_queue))
        except AMQPError:
            return False

    async with bench.running():
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        await remove(bench)
        await eventually(arrives_and_is_kept)
    assert bench.connections == 1


async def test_what_was_removed_and_declared_again_is_logged_by_name(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    """The queues of other programs have lost their bindings to it, and nothing else shows that."""
    bench = await benches.bench(acknowledge, topology_check_interval=0.1)
    removed = [bench.topology.exchange("results"), bench.topology.dead_queue]
    async with bench.running(), bench.raw.channel() as channel:
        await eventually(lambda: bench.consuming.unavailable_reason is None)
        with capture_logs() as lines:
            await channel.exchange_delete(removed[0])
            await channel.queue_delete(removed[1])
            await eventually(
                lambda: [name for line in lines for name in line.get("missing", ())] == removed
            )


@pytest.fixture
def user_url(rabbitmq: RabbitMQNode, names_prefix: str) -> Iterator[str]:
    """The shared broker, for a user of this test."""
    rabbitmq.add_user(names_prefix, "secret")
    yield f"amqp://{names_prefix}:secret@127.0.0.1:{rabbitmq.port}/"
    rabbitmq.delete_user(names_prefix)


async def test_a_consumer_that_loses_its_right_to_declare_logs_it_and_continues(
    rabbitmq: RabbitMQNode, user_url: str, names_prefix: str, eventually: Eventually
) -> None:
    async with open_broker_benches(user_url, names_prefix) as benches:
        bench = await benches.bench(acknowledge, topology_check_interval=0.1)
        async with bench.running():
            await eventually(lambda: bench.consuming.unavailable_reason is None)
            with capture_logs() as lines:
                rabbitmq.set_permissions(names_prefix, configure="^$", write=".*", read=".*")
                await eventually(
                    lambda: any("WORKER_TOPOLOGY" in line.get("reason", "") for line in lines)
                )
            await bench.send(b"after", message_id="m")
            await eventually(lambda: bench.bodies == [b"after"])
        assert bench.connections == 1
        rabbitmq.set_permissions(names_prefix, configure=".*", write=".*", read=".*")


async def returns_after_the_loss(connection: TolerantConnection) -> None:
    await (await open_channel(connection)).closed()


async def raises_after_the_loss(connection: TolerantConnection) -> None:
    await (await open_channel(connection)).closed()
    raise BrokerUnavailable("some call failed")


@pytest.mark.parametrize("session", [returns_after_the_loss, raises_after_the_loss])
async def test_the_reason_for_the_loss_of_a_connection_is_the_one_that_the_broker_gave(
    rabbitmq: RabbitMQNode,
    user_url: str,
    names_prefix: str,
    eventually: Eventually,
    session: Session,
) -> None:
    reasons: list[str | None] = []

    def url() -> str:
        reasons.append(link.unavailable_reason)
        return user_url

    async def ready_session(connection: TolerantConnection) -> None:
        link.mark_ready()
        await session(connection)

    link = BrokerConnection(url, "test")
    running = asyncio.create_task(link.run(ready_session))
    await eventually(lambda: link.unavailable_reason is None)
    rabbitmq.delete_user(names_prefix)
    await eventually(lambda: len(reasons) > 1)
    running.cancel()
    rabbitmq.add_user(names_prefix, "secret")
    assert reasons[1] is not None
    assert f"user '{names_prefix}' is deleted" in reasons[1]


async def test_a_user_without_a_channel_for_the_check_loses_a_connection_and_is_not_checked_again(
    rabbitmq: RabbitMQNode, user_url: str, names_prefix: str, eventually: Eventually
) -> None:
    async with open_broker_benches(user_url, names_prefix) as benches:
        bench = await benches.bench(acknowledge, topology_check_interval=0.1)
        async with bench.running():
            await eventually(lambda: bench.consuming.unavailable_reason is None)
            limit_channels(rabbitmq, names_prefix, 2)  # one to publish, and one to consume
            await eventually(lambda: bench.connections >= 2)
            limit_channels(rabbitmq, names_prefix, 3)
            await bench.send(b"after", message_id="m")
            await eventually(lambda: bench.bodies == [b"after"])
            # The broker may count the lost connection's channels for a while, and refuse again.
            before = bench.connections
            limit_channels(rabbitmq, names_prefix, 2)
            # Checks that no further connection is lost during this time.
            await asyncio.wait([bench.consumer_task], timeout=1.0)
            assert bench.connections == before
            limit_channels(rabbitmq, names_prefix, 100)


def limit_channels(rabbitmq: RabbitMQNode, user: str, channels: int) -> None:
    rabbitmq.evaluate(
        f'rabbit_auth_backend_internal:set_user_limits(<<"{user}">>, '
        f'#{{<<"max-channels">> => {channels}}}, <<"tests">>).'
    )


async def test_a_full_dead_letter_queue_holds_up_nothing_that_does_not_belong_there(
    benches: BrokerBenches, rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    """More than the prefetch are refused. They wait longer each time, and none is lost."""

    async def decide(delivery: Delivery) -> Settlement:
        return Ack() if delivery.body == b"good" else Dead(code="bad", reason="it is bad")

    bench = await benches.bench(decide)
    policy, full = bench.topology.prefix, bench.topology.dead_queue
    rabbitmq.set_policy(policy, f"^{full}$", '{"max-length": 1}')
    bad = {f"bad-{number}".encode() for number in range(50)}
    async with bench.running():
        for body in bad:
            await bench.send(body)
        await eventually(lambda: max(map(bench.bodies.count, bad)) >= 3)
        await bench.send(b"good")
        await eventually(lambda: b"good" in bench.bodies)
        assert not any(delivery.redelivery_count for delivery in bench.deliveries)
        assert max(delivery.attempts for delivery in bench.deliveries) >= 2
        rabbitmq.clear_policy(policy)
        found: set[bytes] = set()
        while found != bad:
            letter = await eventually(lambda: bench.get(full))
            assert letter is not None
            found.add(letter.body)
