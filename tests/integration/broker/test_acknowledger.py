"""One acknowledgement for many deliveries never includes an open one."""

import asyncio
import random

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from recording_sandbox.waiting import Eventually
from worker.broker.acknowledger import Acknowledger

COMMANDS = 40


async def _remaining(queue: AbstractQueue) -> set[int]:
    left = set()
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        left.add(int(message.body))
    return left


@pytest.mark.parametrize("seed", range(5))
async def test_exactly_the_acknowledged_messages_are_gone_in_any_order(
    amqp_url: str, names_prefix: str, eventually: Eventually, seed: int
) -> None:
    chance = random.Random(seed)
    async with await aio_pika.connect(amqp_url) as connection:
        looking = await connection.channel()
        queue = await looking.declare_queue(f"{names_prefix}.acks", exclusive=True)
        channel = await (await connection.channel()).get_underlay_channel()
        assert isinstance(channel, Channel)
        delivered: list[DeliveredMessage] = []

        async def take(message: DeliveredMessage) -> None:
            delivered.append(message)

        await channel.basic_qos(prefetch_count=COMMANDS)
        tag = (await channel.basic_consume(queue.name, take)).consumer_tag or ""
        for number in range(COMMANDS):
            message = aio_pika.Message(str(number).encode())
            await looking.default_exchange.publish(message, queue.name)
        await eventually(lambda: len(delivered) == COMMANDS)

        acknowledger = Acknowledger(channel)
        dropped = delivered[-3:] if seed % 2 else chance.sample(delivered, 3)
        settled = chance.sample(
            [message for message in delivered if message not in dropped], COMMANDS - 3
        )
        returned, done = settled[:10], settled[10:]
        await channel.basic_cancel(tag)
        ends = [acknowledger.acknowledge(message.delivery_tag or 0) for message in done]
        ends += [acknowledger.requeue(message.delivery_tag or 0) for message in returned]
        chance.shuffle(ends)
        for first in range(0, len(ends), 7):
            await asyncio.gather(*ends[first : first + 7])
        await channel.basic_qos(prefetch_count=1)  # a round trip: all are processed
        assert await _remaining(queue) == {int(message.body) for message in returned}
        await channel.close()
        assert await _remaining(queue) == {int(message.body) for message in dropped}
