"""On taskiq-aio-pika, with httpx's default transport. Run by `taskiq worker`, like its users do."""

import aio_pika
import httpx
from taskiq import TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.exchange import Exchange
from taskiq_aio_pika.queue import Queue, QueueType

from benchmarks.contestants import job

broker = AioPikaBroker(
    job.AMQP_URL,
    qos=job.IN_FLIGHT,
    exchange=Exchange(name=job.EXCHANGE, declare=False),
    task_queues=[Queue(name=job.QUEUE, declare=False)],
    dead_letter_queue=Queue(name=f"{job.QUEUE}.taskiq", type=QueueType.QUORUM),
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    """Open the task's connections."""
    state.http = httpx.AsyncClient(limits=httpx.Limits(max_connections=256), timeout=10)
    state.connection = await aio_pika.connect(job.AMQP_URL)
    channel = await state.connection.channel()
    state.exchange = await channel.get_exchange(job.EXCHANGE)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    """Close the connections."""
    await state.http.aclose()
    await state.connection.close()


@broker.task(task_name="start_track_recording")
async def handle(body: dict[str, object]) -> None:
    """Execute one command."""
    command = job.checked(body)
    answer = await broker.state.http.post(
        job.START_URL, content=job.request_body(command), headers=job.HEADERS
    )
    answer.raise_for_status()
    event = aio_pika.Message(
        job.event(command, job.recording_id(answer.content)),
        content_type=job.CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await broker.state.exchange.publish(event, job.ROUTING_KEY)
