"""On FastStream, with httpx's default transport."""

import asyncio
import signal

import httpx
import uvloop
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from benchmarks.contestants import job


async def run() -> None:
    """Consume until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    broker = RabbitBroker(
        job.AMQP_URL, default_channel=Channel(prefetch_count=job.IN_FLIGHT), logger=None
    )
    exchange = RabbitExchange(job.EXCHANGE, type=ExchangeType.TOPIC, durable=True, declare=False)
    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)

    @broker.subscriber(
        RabbitQueue(job.QUEUE, durable=True, declare=False), ack_policy=AckPolicy.NACK_ON_ERROR
    )
    async def handle(body: dict[str, object]) -> None:
        command = job.checked(body)
        answer = await http.post(
            job.START_URL, content=job.request_body(command), headers=job.HEADERS
        )
        answer.raise_for_status()
        await broker.publish(
            job.event(command, job.recording_id(answer.content)),
            exchange=exchange,
            routing_key=job.ROUTING_KEY,
            content_type=job.CONTENT_TYPE,
            persist=True,
        )

    async with http, broker:
        await broker.start()
        await stopped.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
