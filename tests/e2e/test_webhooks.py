"""A worker process that is notified of its recordings by webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import msgspec

from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.faults import Fault
from recording_sandbox.model.log_entries import WebhookEntry
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import Completed, Status, StatusChanged, decode_event
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

FORWARD = (Status.RECORDING, Status.UPLOADING, Status.UPLOADED)
KEPT = "kept-by-the-test"
BEHAVIOUR = Behaviour(invoked_seconds=2, uploading_seconds=2, real_webhook_retry_seconds=0.05)


@asynccontextmanager
async def webhook_environment(
    amqp_url: str,
    prefix: str,
    directory: Path,
    eventually: Eventually,
    *,
    sweep: str = "3600",
    behaviour: Behaviour = BEHAVIOUR,
    **more: Any,
) -> AsyncIterator[WorkerEnvironment]:
    """An environment whose worker has registered its webhook and sweeps at this interval."""
    (port,) = free_ports(1)
    async with open_worker_environment(
        amqp_url,
        prefix,
        directory,
        behaviour=behaviour,
        HTTP_PORT=str(port),
        WORKER_PUBLIC_URL=f"http://127.0.0.1:{port}",
        WORKER_SWEEP_INTERVAL_SECONDS=sweep,
        **more,
    ) as environment:
        await eventually(lambda: environment.requests("add_webhook"))
        yield environment


def deliveries(environment: WorkerEnvironment) -> list[WebhookEntry]:
    return [
        entry
        for entry in environment.sandbox.request_log.entries()
        if isinstance(entry, WebhookEntry)
    ]


async def record(environment: WorkerEnvironment, command_id: str) -> str:
    """Start a recording and wait until it runs; returns its id."""
    await environment.start(command_id)
    event = await environment.event(StatusChanged, status=Status.RECORDING, start_id=command_id)
    assert event.subject is not None
    return event.subject


async def stop(environment: WorkerEnvironment, command_id: str) -> None:
    await environment.send(type="stop_recording", id=f"stop-{command_id}", start_id=command_id)


async def test_webhooks_alone_follow_a_recording_to_its_end(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with webhook_environment(amqp_url, names_prefix, tmp_path, eventually) as environment:
        recording_id = await record(environment, "start-1")
        await stop(environment, "start-1")
        completed = await environment.event(Completed, recording_id=recording_id)
        assert isinstance(completed.data, Completed)
        assert completed.data.file_count == 3
        changes = [
            event.data
            for event in environment.messages.events
            if isinstance(event.data, StatusChanged)
        ]
        by_status = {change.status: change.observed_by for change in changes}
        assert by_status[Status.RECORDING] == by_status[Status.UPLOADED] == "webhook"
        assert {delivery.response_status for delivery in deliveries(environment)} == {204}


async def test_the_sweep_makes_up_for_lost_webhooks(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with webhook_environment(
        amqp_url, names_prefix, tmp_path, eventually, sweep="0.3"
    ) as environment:
        environment.sandbox.faults.add(Fault(kind="webhook_drop"))
        recording_id = await record(environment, "start-1")
        await stop(environment, "start-1")
        await environment.event(Completed, recording_id=recording_id)
        assert {delivery.response_status for delivery in deliveries(environment)} == {None}


async def test_key_rotation_and_forged_webhooks_change_nothing(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with webhook_environment(amqp_url, names_prefix, tmp_path, eventually) as environment:
        environment.sandbox.faults.add(Fault(kind="webhook_forge"))
        recording_id = await record(environment, "start-1")
        environment.sandbox.webhook_signer.rotate()
        await stop(environment, "start-1")
        await environment.event(Completed, recording_id=recording_id)
        answers = {
            (delivery.fault, delivery.response_status) for delivery in deliveries(environment)
        }
        assert answers == {(None, 204), ("webhook_forge", 401)}


async def test_webhooks_are_accepted_while_the_broker_is_down_and_published_when_it_returns(
    private_rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    url = private_rabbitmq.amqp_url
    async with webhook_environment(url, names_prefix, tmp_path, eventually) as environment:
        recording_id = await record(environment, "start-1")
        await keep_statuses(url, names_prefix)
        # A webhook reported that it records; the webhook's answer may arrive after its effects.
        await eventually(
            lambda: any(delivery.response_status == 204 for delivery in deliveries(environment))
        )
        await asyncio.to_thread(private_rabbitmq.stop)
        before = len(deliveries(environment))
        recordings = environment.sandbox.recordings
        recordings.stop(recordings.index.get(recording_id))

        async def all_taken() -> bool:
            late = deliveries(environment)[before:]
            return [delivery.response_status for delivery in late] == [204, 204]

        await eventually(all_taken)
        await asyncio.to_thread(private_rabbitmq.start)
        assert await kept_statuses(url, 2) == [Status.UPLOADING, Status.UPLOADED]


async def test_webhooks_refused_while_a_starting_worker_waits_for_its_database_are_sent_again(
    amqp_url: str,
    names_prefix: str,
    tmp_path: Path,
    private_postgresql: PostgreSQLServer,
    eventually: Eventually,
) -> None:
    async with webhook_environment(
        amqp_url,
        names_prefix,
        tmp_path,
        eventually,
        behaviour=msgspec.structs.replace(BEHAVIOUR, real_webhook_retry_seconds=0.5),
        DATABASE_URL=private_postgresql.new_database(),
    ) as environment:
        recording_id = await record(environment, "start-1")
        await environment.worker.stop()
        await asyncio.to_thread(private_postgresql.stop)
        await environment.worker.start()
        await eventually(lambda: awaits_its_database(environment), seconds=20)
        before = len(deliveries(environment))
        recordings = environment.sandbox.recordings
        recordings.stop(recordings.index.get(recording_id))
        await eventually(lambda: len(deliveries(environment)) >= before + 2, seconds=20)
        assert {delivery.response_status for delivery in deliveries(environment)[before:]} == {503}
        _, metrics = await environment.worker.probe("/metrics")
        assert 'recording_worker_webhooks_total{verdict="unavailable"}' in metrics
        await asyncio.to_thread(private_postgresql.start)
        await eventually(lambda: webhooks_taken_since(environment, before) == 2, seconds=30)


def webhooks_taken_since(environment: WorkerEnvironment, before: int) -> int:
    """The number of accepted webhooks since `before`."""
    return [delivery.response_status for delivery in deliveries(environment)[before:]].count(204)


async def awaits_its_database(environment: WorkerEnvironment) -> bool:
    status, readiness = await environment.worker.probe("/readyz")
    return status == 503 and not readiness["checks"]["store"]["ok"]


async def keep_statuses(url: str, prefix: str) -> None:
    """Keep status events in a durable queue from now on, also while the broker is down."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(KEPT, durable=True)
        await queue.bind(f"{prefix}.status", "#")


async def kept_statuses(url: str, count: int) -> list[Status]:
    """The first `count` kept status events."""
    async with await aio_pika.connect(url) as connection, asyncio.timeout(60):
        channel = await connection.channel()
        queue = await channel.get_queue(KEPT)
        found: list[Status] = []
        async with queue.iterator() as messages:
            async for message in messages:
                change = decode_event(message.body).data
                assert isinstance(change, StatusChanged)
                found.append(change.status)
                await message.ack()
                if len(found) == count:
                    return found
    raise AssertionError
