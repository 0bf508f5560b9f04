"""A consumer's frames on the wire, and its reaction to single answers of the broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from pamqp.base import Frame
from pamqp.commands import Queue

from sandbox.waiting import Eventually
from tests.integration.amqp_frame_proxy import AmqpFrameProxy, amqp_frame_proxy
from tests.integration.test_broker import Broker, Commands, acknowledge
from worker.broker.messages import Ack, Delivery, Settlement

COMMANDS = 3


class Counting:
    """What the broker says of a queue's consumers; it can be made to count none, so many times."""

    def __init__(self) -> None:
        self.answers = 0
        self._misses = 0

    def miss(self, times: int) -> None:
        self._misses = self.answers = 0
        self._misses = times

    def __call__(self, method: Frame) -> Frame:
        if not isinstance(method, Queue.DeclareOk) or not method.consumer_count:
            return method
        self.answers += 1
        if self._misses == 0:
            return method
        self._misses -= 1
        return Queue.DeclareOk(method.queue, method.message_count, 0)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
async def way(amqp_url: str, counting: Counting) -> AsyncIterator[AmqpFrameProxy]:
    async with amqp_frame_proxy(amqp_url, counting) as way:
        yield way


@pytest.fixture
async def broker(amqp_url: str, names_prefix: str) -> AsyncIterator[Broker]:
    async with AsyncExitStack() as rooms:
        yield Broker(amqp_url, names_prefix, rooms)


async def test_a_round_trip_follows_the_last_acknowledgement_before_the_connection_closes(
    broker: Broker, way: AmqpFrameProxy, eventually: Eventually
) -> None:
    go = asyncio.Event()

    async def waits(_delivery: Delivery) -> Settlement:
        await go.wait()
        return Ack()

    commands = await broker.commands(waits, through=way)
    async with commands.running():
        for number in range(COMMANDS):
            await commands.send(str(number).encode())
        await eventually(lambda: len(commands.seen) == COMMANDS)
        draining = asyncio.create_task(commands.consumer.drain())
        await eventually(commands.consumer.takes_no_more.is_set)
        go.set()
        await draining
        await asyncio.wait([commands.taking])
    (said,) = way.with_method("Basic.Consume")
    names = [one.method.name for one in said]
    last = len(names) - names[::-1].index("Basic.Ack")
    end = names.index("Connection.Close")
    assert names[last:end][:2] == ["Basic.Qos", "Basic.QosOk"]


async def takes(commands: Commands, eventually: Eventually, body: bytes) -> None:
    await commands.send(body, message_id="m")
    await eventually(lambda: body in commands.bodies)


async def test_a_single_answer_without_a_consumer_changes_nothing(
    broker: Broker, way: AmqpFrameProxy, counting: Counting, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge, through=way)
    async with commands.running():
        await eventually(lambda: counting.answers > 0, what="the broker is asked")
        for _ in range(3):
            counting.miss(1)
            await eventually(lambda: counting.answers > 1, what="it is asked again")
        await takes(commands, eventually, b"after")
        assert commands.connections == 1


async def test_two_answers_in_a_row_without_a_consumer_cause_a_new_connection(
    broker: Broker, way: AmqpFrameProxy, counting: Counting, eventually: Eventually
) -> None:
    commands = await broker.commands(acknowledge, through=way)
    async with commands.running():
        await eventually(lambda: counting.answers > 0, what="the broker is asked")
        counting.miss(2)
        await eventually(lambda: commands.connections == 2, what="it connects anew")
        await takes(commands, eventually, b"after")
