"""On procrastinate behind an aio-pika consumer: each command becomes a job in PostgreSQL.

A message is acknowledged when its job is stored. The job calls and publishes. The periodic task is
the one of procrastinate's manual for jobs of workers that died, ten times as often.
"""

import asyncio
import signal
from contextlib import suppress

import aio_pika
import httpx
import procrastinate
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from procrastinate.exceptions import AlreadyEnqueued

from benchmarks.contestants import job

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=job.DATABASE_URL, max_size=20)
)
http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)
exchange: AbstractExchange


@app.task(name="start_track_recording", retry=10)
async def execute(fields: dict[str, object]) -> None:
    """Execute one command."""
    command = job.checked(fields)
    answer = await http.post(job.START_URL, content=job.request_body(command), headers=job.HEADERS)
    answer.raise_for_status()
    event = aio_pika.Message(
        job.event(command, job.recording_id(answer.content)),
        content_type=job.CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await exchange.publish(event, job.ROUTING_KEY)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(_context: procrastinate.JobContext, timestamp: int) -> None:
    """Execute again the jobs of workers that died."""
    for stalled in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(stalled)


async def handle(message: AbstractIncomingMessage) -> None:
    """Store a command as a job, unless that job waits already."""
    command = job.decode(message.body)
    with suppress(AlreadyEnqueued):
        deferrer = execute.configure(lock=command.id, queueing_lock=command.id)
        await deferrer.defer_async(fields=job.fields(command))
    await message.ack()


async def prepare() -> None:
    """Create the tables if they are missing."""
    if not await app.check_connection_async():
        await app.schema_manager.apply_schema_async()


async def run() -> None:
    """Consume and work until SIGTERM."""
    global exchange
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with app.open_async(), await aio_pika.connect(job.AMQP_URL) as connection:
        await prepare()
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=job.IN_FLIGHT)
        exchange = await channel.get_exchange(job.EXCHANGE)
        working = asyncio.create_task(
            app.run_worker_async(concurrency=job.IN_FLIGHT, install_signal_handlers=False)
        )
        queue = await channel.get_queue(job.QUEUE)
        tag = await queue.consume(handle)
        await stopped.wait()
        await queue.cancel(tag)
        working.cancel()
        await asyncio.wait([working])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
