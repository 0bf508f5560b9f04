"""A task of Celery that starts a recording."""

import os
from datetime import UTC, datetime, timedelta

from celery import Celery

from recording_schemas import Command, StartTrackRecording, encode_command

app = Celery("my-service", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_default_queue="my-service.tasks",
    task_acks_late=True,  # a task that is killed runs again; its command keeps its id
    # Without confirmations, a command that the broker never received counts as published.
    broker_transport_options={"confirm_publish": True},
    # Celery's control messages need separate queues, and permissions for them.
    worker_enable_remote_control=False,
)


@app.task(autoretry_for=(Exception,), retry_backoff=True, max_retries=10)
def start_recording(meeting_id: str, command_id: str) -> None:
    """Record everybody in a meeting. `command_id` must be the same in each retry."""
    deadline = datetime.now(UTC) + timedelta(minutes=5)
    publish(StartTrackRecording(id=command_id, meeting_id=meeting_id, deadline=deadline))


def publish(command: Command) -> None:
    """Publish a command. Returns when the broker has put it into the queue of commands.

    The worker reads plain JSON. A message that Celery makes of a task has another form, so this
    uses only the connections of Celery. It declares nothing: the exchange is the worker's.

    Raises:
        Malformed: if the command breaks a rule of the schema.
        kombu.exceptions.OperationalError, amqp.AMQPError: if the broker has not confirmed it.
    """
    with app.producer_pool.acquire(block=True, timeout=10) as producer:
        producer.publish(
            encode_command(command),
            exchange="recording.commands",
            routing_key=command.command_type,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode="persistent",
            mandatory=True,
            retry=True,
            timeout=10,
            confirm_timeout=10,
        )
