"""On rabbitkit's asynchronous broker, with httpx's default transport."""

import asyncio

import httpx
import uvloop
from rabbitkit import AsyncBroker, MessageEnvelope, RabbitConfig
from rabbitkit.core.config import ConnectionConfig, ConsumerConfig, WorkerConfig
from rabbitkit.core.topology import RabbitQueue
from rabbitkit.core.types import TopologyMode

from benchmarks.contestants import job


async def run() -> None:
    """Consume until SIGTERM."""
    config = RabbitConfig(
        connection=ConnectionConfig.from_url(job.AMQP_URL),
        consumer=ConsumerConfig(prefetch_count=job.IN_FLIGHT),
        topology_mode=TopologyMode.PASSIVE_ONLY,
    )
    broker = AsyncBroker(config)
    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)

    @broker.subscriber(RabbitQueue(job.QUEUE, passive=True))
    async def handle(body: bytes) -> None:
        command = job.decode(body)
        answer = await http.post(
            job.START_URL, content=job.request_body(command), headers=job.HEADERS
        )
        answer.raise_for_status()
        outcome = await broker.publish(
            MessageEnvelope(
                exchange=job.EXCHANGE,
                routing_key=job.ROUTING_KEY,
                body=job.event(command, job.recording_id(answer.content)),
                content_type=job.CONTENT_TYPE,
            )
        )
        outcome.raise_for_status()

    async with http:
        await broker.run(WorkerConfig(worker_count=job.IN_FLIGHT, prefetch_per_worker=1))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
