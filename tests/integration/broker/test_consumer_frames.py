"""A consumer's frames on the wire, and its reaction to single answers of the broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pamqp.base import Frame
from pamqp.commands import Queue

from recording_sandbox.waiting import Eventually
from tests.integration.broker.amqp_frame_proxy import AmqpFrameProxy, amqp_frame_proxy
from tests.integration.broker.broker_bench import (
    BrokerBench,
    BrokerBenches,
    acknowledge,
)
from worker.broker.messages import Ack, Delivery, Settlement

COMMAND_COUNT = 3


class AnswerCounter:
    """Counts the answers that name a consumer; `miss` replaces some by "no consumer"."""

    def __init__(self) -> None:
        self.answers = 0
        self._misses = 0

    def miss(self, times: int) -> None:
        self.answers = 0
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
def counter() -> AnswerCounter:
    return AnswerCounter()


@pytest.fixture
async def proxy(amqp_url: str, counter: AnswerCounter) -> AsyncIterator[AmqpFrameProxy]:
    async with amqp_frame_proxy(amqp_url, counter) as proxy:
        yield proxy


async def test_a_round_trip_follows_the_last_acknowledgement_before_the_connection_closes(
    benches: BrokerBenches, proxy: AmqpFrameProxy, eventually: Eventually
) -> None:
    release = asyncio.Event()

    async def wait_for_release(_delivery: Delivery) -> Settlement:
        await release.wait()
        return Ack()

    bench = await benches.bench(wait_for_release, proxy=proxy)
    async with bench.running():
        for number in range(COMMAND_COUNT):
            await bench.send(str(number).encode())
        await eventually(lambda: len(bench.deliveries) == COMMAND_COUNT)
        draining = asyncio.create_task(bench.consumer.drain())
        await eventually(bench.consumer.deliveries_ended.is_set)
        release.set()
        await draining
        await asyncio.wait([bench.consumer_task])
    (frames,) = proxy.with_method("Basic.Consume")
    names = [frame.method.name for frame in frames]
    last = len(names) - names[::-1].index("Basic.Ack")
    end = names.index("Connection.Close")
    assert names[last:end][:2] == ["Basic.Qos", "Basic.QosOk"]


async def send_and_receive(bench: BrokerBench, eventually: Eventually, body: bytes) -> None:
    await bench.send(body, message_id="m")
    await eventually(lambda: body in bench.bodies)


async def test_a_single_answer_without_a_consumer_changes_nothing(
    benches: BrokerBenches, proxy: AmqpFrameProxy, counter: AnswerCounter, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge, proxy=proxy)
    async with bench.running():
        await eventually(lambda: counter.answers > 0, description="the broker is asked")
        for _ in range(3):
            counter.miss(1)
            await eventually(lambda: counter.answers > 1, description="the broker is asked again")
        await send_and_receive(bench, eventually, b"after")
        assert bench.connections == 1


async def test_two_answers_in_a_row_without_a_consumer_cause_a_new_connection(
    benches: BrokerBenches, proxy: AmqpFrameProxy, counter: AnswerCounter, eventually: Eventually
) -> None:
    bench = await benches.bench(acknowledge, proxy=proxy)
    async with bench.running():
        await eventually(lambda: counter.answers > 0, description="the broker is asked")
        counter.miss(2)
        await eventually(
            lambda: bench.connections == 2, description="the consumer opens a new connection"
        )
        await send_and_receive(bench, eventually, b"after")
