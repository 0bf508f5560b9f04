"""On Celery, with a pool of threads, late acknowledgement and httpx's default transport."""

import threading

import httpx
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue

from benchmarks.contestants import job

THREADS = threading.local()

app = Celery("bench", broker=job.AMQP_URL)
app.conf.update(
    task_queues=[
        Queue(
            job.QUEUE,
            exchange=Exchange("", no_declare=True),
            routing_key=job.QUEUE,
            queue_arguments={"x-queue-type": "quorum"},
            no_declare=True,
        )
    ],
    task_default_queue=job.QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_heartbeat=0,
)
http = httpx.Client(limits=httpx.Limits(max_connections=256), timeout=10)
exchange = Exchange(job.EXCHANGE, type="topic", durable=True, no_declare=True)


def producer() -> Producer:
    """This thread's own channel, with confirms."""
    if not hasattr(THREADS, "producer"):
        options = {"confirm_publish": True}
        THREADS.producer = Producer(Connection(job.AMQP_URL, transport_options=options))
    return THREADS.producer


@app.task(name="start_track_recording")
def handle(body: dict[str, object]) -> None:
    """Execute one command."""
    command = job.checked(body)
    answer = http.post(job.START_URL, content=job.request_body(command), headers=job.HEADERS)
    answer.raise_for_status()
    producer().publish(
        job.event(command, job.recording_id(answer.content)),
        exchange=exchange,
        routing_key=job.ROUTING_KEY,
        content_type=job.CONTENT_TYPE,
        content_encoding="binary",
        delivery_mode=2,
    )
