"""On Dramatiq, whose actors run in threads, with httpx's default transport. Run by `dramatiq`."""

import threading

import dramatiq
import httpx
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.contestants import job

THREADS = threading.local()


class Broker(RabbitmqBroker):
    """Uses the queue as it is. Dramatiq itself would declare a classic queue."""

    def _declare_queue(self, queue_name: str) -> object:
        return self.channel.queue_declare(queue=queue_name, passive=True)


broker = Broker(url=job.AMQP_URL, confirm_delivery=True)
dramatiq.set_broker(broker)
http = httpx.Client(limits=httpx.Limits(max_connections=256), timeout=10)


def channel() -> pika.adapters.blocking_connection.BlockingChannel:
    """This thread's own connection, because pika's cannot be shared."""
    if not hasattr(THREADS, "channel"):
        connection = pika.BlockingConnection(pika.URLParameters(f"{job.AMQP_URL}?heartbeat=0"))
        THREADS.channel = connection.channel()
        THREADS.channel.confirm_delivery()
    return THREADS.channel


@dramatiq.actor(actor_name="start_track_recording", queue_name=job.QUEUE, max_retries=0)
def handle(body: dict[str, object]) -> None:
    """Execute one command."""
    command = job.checked(body)
    answer = http.post(job.START_URL, content=job.request_body(command), headers=job.HEADERS)
    answer.raise_for_status()
    channel().basic_publish(
        job.EXCHANGE,
        job.ROUTING_KEY,
        job.event(command, job.recording_id(answer.content)),
        pika.BasicProperties(content_type=job.CONTENT_TYPE, delivery_mode=2),
    )
