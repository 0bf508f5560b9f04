"""On DBOS Transact: each command is a workflow with its id, of two steps, call and publish.

A message is acknowledged when its workflow has ended. After a crash DBOS continues the workflows
that had begun, and a redelivered message finds the workflow of its id.
"""

import asyncio
import signal
from contextlib import AsyncExitStack

import aio_pika
import httpx
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from dbos import DBOS, SetWorkflowID

from benchmarks.contestants import job

http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)
exchange: AbstractExchange


@DBOS.step(retries_allowed=True, max_attempts=10)
async def call(fields: dict[str, object]) -> str:
    """Start the recording. Returns its id."""
    body = job.request_body(job.checked(fields))
    answer = await http.post(job.START_URL, content=body, headers=job.HEADERS)
    answer.raise_for_status()
    return job.recording_id(answer.content)


@DBOS.step(retries_allowed=True, max_attempts=10)
async def publish(fields: dict[str, object], recording: str) -> None:
    """Publish the event, and wait for the broker's confirmation."""
    event = aio_pika.Message(
        job.event(job.checked(fields), recording),
        content_type=job.CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await exchange.publish(event, job.ROUTING_KEY)


@DBOS.workflow()
async def execute(fields: dict[str, object]) -> None:
    """Execute one command."""
    await publish(fields, await call(fields))


async def handle(message: AbstractIncomingMessage) -> None:
    """Run the workflow of a command, or wait for the existing workflow with its id."""
    command = job.decode(message.body)
    with SetWorkflowID(command.id):
        workflow = await DBOS.start_workflow_async(execute, job.fields(command))
    await workflow.get_result()
    await message.ack()


async def run() -> None:
    """Consume until SIGTERM."""
    global exchange
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await aio_pika.connect(job.AMQP_URL))
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=job.IN_FLIGHT)
        exchange = await channel.get_exchange(job.EXCHANGE)
        DBOS(
            config={
                "name": "bench",
                "system_database_url": job.DATABASE_URL,
                "log_level": "WARNING",
            }
        )
        DBOS.launch()
        stack.callback(DBOS.destroy)
        queue = await channel.get_queue(job.QUEUE)
        await queue.consume(handle)
        await stopped.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
