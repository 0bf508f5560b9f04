"""A broker and a network with faults: silence, alarms, cuts during a confirmation.

The long form: FAULT_ALARM_SECONDS=60.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from tests.fault.campaign_commands import SUCCEEDED_OR_REJECTED
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.reliability_report import RunFigures, report_lines
from tests.fault.run_record import SUCCEEDED

ALARM_SECONDS = float(os.environ.get("FAULT_ALARM_SECONDS", "3"))
NOTICED_WITHIN_SECONDS = 35.0
"""The documented time within which a silent peer is noticed."""


@pytest.fixture
async def own_broker(
    private_rabbitmq: RabbitMQNode, tmp_path: Path
) -> AsyncIterator[tuple[RabbitMQNode, FaultEnvironment]]:
    """An environment with a private broker that tests stop and kill."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_fault_environment(
        private_rabbitmq.amqp_url, database, tmp_path, prefix="own", seed=1
    ) as environment:
        yield private_rabbitmq, environment


def start_and_stop(number: int) -> list[dict[str, Any]]:
    meeting = str(uuid.uuid4())
    return [
        {"type": "start_track_recording", "id": f"start-{number}", "meeting_id": meeting},
        {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"},
    ]


async def stream(environment: FaultEnvironment, numbers: range) -> None:
    """Publish a start and a stop for each number, each confirmed before the next."""
    for number in numbers:
        for command in start_and_stop(number):
            allowed = SUCCEEDED if command["id"].startswith("stop") else SUCCEEDED_OR_REJECTED
            sent = await environment.sender.send(command, seconds=240, allowed=allowed)
            assert sent.confirmed, f"{command['id']}: {environment.sender.last_failure}"


async def running(environment: FaultEnvironment, **settings: str) -> KillableWorker:
    worker = environment.worker(**settings)
    worker.start()
    await worker.ready()
    return worker


def logged(worker: KillableWorker) -> list[dict[str, Any]]:
    """The worker's log, line by line."""
    lines = worker.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def commands_logged(worker: KillableWorker) -> list[dict[str, Any]]:
    """The worker's canonical lines about commands."""
    return [line for line in logged(worker) if line["event"] == "command"]


@pytest.mark.timeout(240)
async def test_a_silent_broker_connection_is_detected_and_closed(
    environment: FaultEnvironment,
) -> None:
    worker = await running(environment)
    await stream(environment, range(3))
    environment.amqp.black_hole()
    ready = asyncio.create_task(worker.ready(seconds=1))
    await asyncio.wait([ready])
    await eventually(
        lambda: not_ready(worker), seconds=NOTICED_WITHIN_SECONDS, description="readiness drops"
    )
    await stream(environment, range(3, 6))
    await environment.amqp.restore()
    await worker.ready(seconds=NOTICED_WITHIN_SECONDS)
    assert (await environment.settled(seconds=60)).violations == ()


async def not_ready(worker: KillableWorker) -> bool:
    try:
        await worker.ready(seconds=0.1)
    except AssertionError:
        return True
    return False


async def test_an_event_whose_confirmation_was_lost_is_published_again_with_the_same_id(
    environment: FaultEnvironment,
) -> None:
    await running(environment)
    environment.amqp.delay(1.0)
    start, stop = start_and_stop(1)
    await environment.sender.send(start, allowed=SUCCEEDED)
    await environment.recorder.outcome_of("start-1")
    environment.amqp.cut()  # the confirmation is still in flight
    environment.amqp.delay(0.0)

    def twice() -> bool:
        ids = [message.message_id for message in environment.recorder.about("start-1")]
        return len(ids) > 1 and len(set(ids)) == 1

    await eventually(twice, seconds=30)
    await environment.sender.send(stop, allowed=SUCCEEDED)
    assert (await environment.settled()).violations == ()


@pytest.mark.parametrize("how", ["reset", "fin"])
async def test_repeatedly_cut_connections_lose_and_duplicate_nothing(
    environment: FaultEnvironment, how: Any
) -> None:
    await running(environment)
    for number in range(8):
        await stream(environment, range(number * 5, number * 5 + 5))
        environment.amqp.cut(how)
    found = await environment.settled(seconds=60)
    assert found.violations == ()
    assert found.recordings + environment.recorder.cancelled == 40


async def test_after_a_clean_stop_under_load_no_settled_command_is_redelivered(
    environment: FaultEnvironment,
) -> None:
    """The broker may mark a message as redelivered although it never sent it."""
    first = await running(environment, WORKER_PREFETCH="20")
    environment.sandbox.faults.add(Fault(kind="slow", operation="start*", seconds=0.05))
    await stream(environment, range(60))
    await asyncio.to_thread(first.stop)
    assert first.exit_code == 0, first.last_words()
    before = len(commands_logged(first))
    second = await running(environment)
    found = await environment.settled(seconds=60)
    assert found.violations == ()
    assert 0 < before < len(commands_logged(first)) + len(commands_logged(second))
    settled = {line["command_id"] for line in commands_logged(first) if line["settlement"] == "ack"}
    again = {line["command_id"] for line in commands_logged(second) if line["redelivered"]}
    assert settled & again == set()


async def test_a_shutdown_that_exceeds_its_time_loses_and_duplicates_nothing(
    environment: FaultEnvironment,
) -> None:
    first = await running(
        environment, WORKER_SHUTDOWN_SECONDS="0.2", WORKER_API_TIMEOUT_SECONDS="10"
    )
    fault = environment.sandbox.faults.add(Fault(kind="slow", operation="start*", seconds=5))
    await stream(environment, range(10))
    await environment.sandbox.request_log.until(lambda request_log: request_log.started or None)
    await asyncio.to_thread(first.stop)
    environment.sandbox.faults.clear(fault)
    await running(environment)
    found = await environment.settled(seconds=60)
    assert found.violations == ()
    assert found.recordings + environment.recorder.cancelled == 10


@pytest.mark.timeout(240)
async def test_a_channel_closed_for_a_late_acknowledgement_duplicates_nothing(
    own_broker: tuple[RabbitMQNode, FaultEnvironment],
) -> None:
    node, environment = own_broker
    for setting, milliseconds in (("consumer_timeout", 1500), ("channel_tick_interval", 500)):
        await asyncio.to_thread(
            node.evaluate, f"application:set_env(rabbit, {setting}, {milliseconds})."
        )
    worker = await running(environment, WORKER_API_TIMEOUT_SECONDS="20")
    fault = environment.sandbox.faults.add(
        Fault(kind="slow", operation="start*", seconds=6, count=3)
    )
    await stream(environment, range(5))
    found = await environment.settled(seconds=60)
    environment.sandbox.faults.clear(fault)
    assert found.violations == ()
    assert found.recordings + environment.recorder.cancelled == 5
    lost = [line for line in logged(worker) if line["event"] == "broker_connection_lost"]
    assert {line["connection"] for line in lost} == {"consume"}, "the broker has closed the channel"
    again = [line["command_id"] for line in commands_logged(worker) if line["redelivered"]]
    assert any(name.startswith("start-") for name in again), "while they were in hand"


@pytest.mark.timeout(240 + int(ALARM_SECONDS))
async def test_during_a_memory_alarm_commands_are_settled_and_published_afterwards(
    own_broker: tuple[RabbitMQNode, FaultEnvironment],
) -> None:
    node, environment = own_broker
    worker = await running(environment, WORKER_PREFETCH="20", WORKER_API_TIMEOUT_SECONDS="60")
    environment.api.stall()  # commands in execution have their answers while the alarm lasts
    for number in range(20):
        await environment.sender.send(start_and_stop(number)[0], allowed=SUCCEEDED)
    await asyncio.to_thread(node.set_memory_alarm, True)
    began = time.monotonic()
    await environment.api.restore()
    await eventually(lambda: not_ready(worker), seconds=30, description="readiness drops")

    async def settled() -> bool:
        return await asyncio.to_thread(node.count_messages, "own.commands") == 0

    await eventually(settled, seconds=60, description="the broker has no command left")
    assert environment.recorder.outcomes == {}, "nothing can be published yet"
    # Not for something to happen: the worker stays as it is for as long as the alarm lasts.
    await asyncio.sleep(max(0.0, began + ALARM_SECONDS - time.monotonic()))
    assert await not_ready(worker)
    await asyncio.to_thread(node.set_memory_alarm, False)
    await worker.ready()
    for number in range(20):
        await environment.sender.send(start_and_stop(number)[1], allowed=SUCCEEDED)
    found = await environment.settled(seconds=60)
    figures = report_lines(found, RunFigures(kills=0, restarts=0, seed=1))
    print(figures)
    assert found.violations == (), figures
    assert (found.recordings, worker.starts) == (20, 1)
