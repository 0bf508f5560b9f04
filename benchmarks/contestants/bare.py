"""A bare aio-pika loop. `bare aiohttp` uses httpx on aiohttp, `bare httpx` uses httpx's default.

It keeps no state: a crash loses its work, and a repeated command records twice.
"""

import asyncio
import signal
import sys

import aio_pika
import httpx
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from httpx_aiohttp import AiohttpTransport

from benchmarks.contestants import job


def client(kind: str) -> httpx.AsyncClient:
    """A client whose connection pool does not delay the commands."""
    if kind == "aiohttp":
        return httpx.AsyncClient(transport=AiohttpTransport(), timeout=10)
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)


async def run(kind: str) -> None:
    """Consume until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    connection = await aio_pika.connect(job.AMQP_URL)
    async with connection, client(kind) as http:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=job.IN_FLIGHT)
        exchange = await channel.get_exchange(job.EXCHANGE)
        queue = await channel.get_queue(job.QUEUE)

        async def handle(message: AbstractIncomingMessage) -> None:
            command = job.decode(message.body)
            answer = await http.post(
                job.START_URL, content=job.request_body(command), headers=job.HEADERS
            )
            answer.raise_for_status()
            event = aio_pika.Message(
                job.event(command, job.recording_id(answer.content)),
                content_type=job.CONTENT_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(event, job.ROUTING_KEY)
            await message.ack()

        await queue.consume(handle)
        await stopped.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1]))
