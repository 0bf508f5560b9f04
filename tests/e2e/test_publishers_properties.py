"""A running worker and commands whose properties are odd or forged, or name other queues."""

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.raw_properties import long, publish_raw, short
from worker.broker.properties import (
    CONTENT_TYPE,
    CORRELATION_ID,
    HEADERS,
    REPLY_TO,
    TIMESTAMP,
    joined_properties,
    joined_table,
)

TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def text(name: bytes, value: str) -> tuple[bytes, bytes]:
    return name, b"S" + long(value.encode())


async def send(
    environment: WorkerEnvironment, amqp_url: str, prefix: str, command_id: str, **more: Any
) -> None:
    """Send a start with a timestamp in microseconds and a forged account."""
    headers = [
        text(b"traceparent", TRACE),
        text(b"x-first-seen", datetime(2001, 1, 1, tzinfo=UTC).isoformat()),
        (b"x-returned", b"I\x00\x00\xff\xff"),
        (b"CC", b"A" + long(b"S" + long(f"{prefix}.other".encode()))),
    ]
    properties = {
        CONTENT_TYPE: short(b"application/json"),
        HEADERS: joined_table(headers),
        CORRELATION_ID: short(f"corr-{command_id}".encode()),
        REPLY_TO: short(more["reply_to"].encode()),
        TIMESTAMP: struct.pack(">Q", 1_790_000_000_000_000),
    }
    command = {
        "type": "start_track_recording",
        "id": command_id,
        "meeting_id": environment.meeting_id,
    }
    body, wire = json.dumps(command).encode(), joined_properties(properties)
    await publish_raw(amqp_url, f"{prefix}.commands", "start_track_recording", body, wire)


async def first_reply(queue: AbstractQueue) -> AbstractIncomingMessage:
    async with queue.iterator(timeout=30) as messages:
        return await anext(messages)


async def test_odd_properties_change_nothing_and_replies_go_where_they_may(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    url = rabbitmq.amqp_url
    async with (
        open_worker_environment(
            url, names_prefix, tmp_path, WORKER_REPLY_TO=r"^answers\."
        ) as environment,
        await aio_pika.connect(url) as connection,
    ):
        channel = await connection.channel()
        answers = await channel.declare_queue(f"answers.{names_prefix}", exclusive=True)
        secret = await channel.declare_queue(f"secret.{names_prefix}", exclusive=True)
        for command_id, queue in (("a", secret.name), ("b", f"{names_prefix}.commands")):
            await send(environment, url, names_prefix, command_id, reply_to=queue)
            await environment.outcome(command_id)
        await send(environment, url, names_prefix, "c", reply_to=answers.name)
        reply = await first_reply(answers)
        _, metrics = await environment.worker.probe("/metrics")
        declared = await channel.declare_queue(secret.name, passive=True, exclusive=True)

    outcome = json.loads(reply.body)
    assert (outcome["type"], outcome["subject"]) == ("command.succeeded.v1", "c")
    assert reply.correlation_id == "corr-c"
    assert str(reply.headers["traceparent"])[:35] == TRACE[:35]
    assert declared.declaration_result.message_count == 0
    for reason in ("pattern", "own_queue"):
        assert f'replies_refused_total{{reason="{reason}"}} 1.0' in metrics
