"""`publisher <messages> <at once> <bytes>`: confirmed persistent messages, in groups.

A group of this many is sent at once; the next group is sent when the broker has confirmed it.
"""

import asyncio
import sys

import aio_pika
import uvloop

from benchmarks.contestants import job


async def run(messages: int, at_once: int, size: int) -> None:
    """Publish them all to the exchange, and end."""
    connection = await aio_pika.connect(job.AMQP_URL)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(job.EXCHANGE)
        body, persistent = b"x" * size, aio_pika.DeliveryMode.PERSISTENT
        for first in range(0, messages, at_once):
            count = min(at_once, messages - first)
            line = [aio_pika.Message(body, delivery_mode=persistent) for _ in range(count)]
            await asyncio.gather(
                *(exchange.publish(message, "track.audio.ready") for message in line)
            )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(*map(int, sys.argv[1:4])))
