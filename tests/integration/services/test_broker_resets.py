"""After a reset, a private broker is like a new one, whatever a test has done to it."""

import asyncio
import threading
from typing import Final

import aio_pika
import pytest
from aio_pika.exceptions import AMQPConnectionError
from pamqp.common import FieldTable

from recording_sandbox.services.rabbitmq import RabbitMQNode, speaks_amqp
from recording_sandbox.services.rabbitmq_local import LocalNode
from recording_sandbox.waiting import Eventually

ARGUMENTS: Final[FieldTable] = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-message-ttl": 100,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "somewhere",
    "x-dead-letter-strategy": "at-least-once",
}
GIVES_UP: Final = """
supervisor:start_child(rabbit_fifo_dlx_sup, [rabbit_misc:r(<<"/">>, queue, <<"deleted">>)]),
(fun Wait() -> whereis(rabbit_fifo_dlx_sup) =:= undefined orelse Wait() end)().
"""
"""Starts a process for a deleted queue. It ends with an error repeatedly, until its supervisor
ends."""

DEAD_LETTERS: Final = """
{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"queue-0">>)),
{ok, {_, {Count, _}}, _} =
    ra:leader_query(amqqueue:get_pid(Queue), fun rabbit_fifo:query_stat_dlx/1),
Count.
"""


async def declare_with_dead_letters(url: str, *, queues: int = 6) -> None:
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        for number in range(queues):
            await channel.declare_queue(f"queue-{number}", durable=True, arguments=ARGUMENTS)


async def test_a_broker_that_was_just_killed_can_be_reset_and_takes_queues(
    private_rabbitmq: RabbitMQNode,
) -> None:
    """The queues have no leader yet, so no node publishes their dead letters."""
    node = private_rabbitmq
    await declare_with_dead_letters(node.amqp_url)
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(node.reset)
    await declare_with_dead_letters(node.amqp_url)


async def test_a_broker_that_takes_no_queues_with_dead_letters_takes_them_after_a_reset(
    private_rabbitmq: RabbitMQNode,
) -> None:
    node = private_rabbitmq
    await asyncio.to_thread(node.evaluate, GIVES_UP)
    with pytest.raises(AMQPConnectionError, match="INTERNAL_ERROR"):
        await declare_with_dead_letters(node.amqp_url)

    await asyncio.to_thread(node.reset)

    await declare_with_dead_letters(node.amqp_url)


async def test_dead_letters_that_are_not_forwarded_arrive_when_the_broker_is_started_again(
    private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    """The steps that the page about deployment gives to operators."""
    node = private_rabbitmq
    async with await aio_pika.connect(node.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        await channel.declare_queue("somewhere", durable=True, arguments={"x-queue-type": "quorum"})
        await declare_with_dead_letters(node.amqp_url, queues=1)
        await asyncio.to_thread(node.evaluate, GIVES_UP)
        message = aio_pika.Message(b"late", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "queue-0")

        async def held() -> bool:
            return await asyncio.to_thread(node.evaluate, DEAD_LETTERS) == "1"

        await eventually(held, description="the broker holds the dead letter")
    await asyncio.to_thread(node.restart)
    async with await aio_pika.connect(node.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("somewhere")

        async def arrived() -> bool:
            found = await queue.get(fail=False, no_ack=True)
            return found is not None and found.body == b"late"

        await eventually(arrived, description="the dead letter arrives")


def test_a_reset_restores_the_limits_that_a_test_has_changed(
    private_rabbitmq: RabbitMQNode,
) -> None:
    limits = ("max_message_size", "frame_max", "consumer_timeout", "channel_tick_interval")
    terms = f"[element(2, application:get_env(rabbit, Limit)) || Limit <- [{', '.join(limits)}]]."
    before = private_rabbitmq.evaluate(terms)
    for limit in limits:
        private_rabbitmq.evaluate(f"application:set_env(rabbit, {limit}, 8192).")

    private_rabbitmq.reset()

    assert private_rabbitmq.evaluate(terms) == before


def test_a_start_waits_for_the_boot_that_another_start_has_begun(
    private_rabbitmq: RabbitMQNode,
) -> None:
    node = private_rabbitmq
    if not isinstance(node, LocalNode):
        pytest.skip("docker starts a container once")
    node.kill()
    first = threading.Thread(target=node.start)
    first.start()
    while not node.running:
        first.join(0.01)

    node.start()

    assert speaks_amqp(node.port)
    first.join()
