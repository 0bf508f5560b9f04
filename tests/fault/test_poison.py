"""A command that kills its process becomes the only dead letter, after a limited number of
deaths."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage

from recording_sandbox.waiting import eventually
from recording_schemas import CommandFailed, decode_event
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.poisoned_worker import POISON, POISONED_MODULE
from tests.fault.run_record import SUCCEEDED
from worker.commands.crash_suspects import CRASH_SUSPECT_RETURNS
from worker.commands.limits import MAX_CRASHES

NEIGHBOURS: Final = 40
PREFETCH: Final = 50
MAX_DEATHS: Final = CRASH_SUSPECT_RETURNS + MAX_CRASHES + 1
"""The attempts until it is executed alone, the attempts alone, and the last read before the dead
letter."""


@pytest.fixture
async def environment(
    amqp_url: str, database_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """An environment on each engine.

    At start, SQLite releases the leases of dead workers. PostgreSQL lets them expire.
    """
    async with open_fault_environment(
        amqp_url,
        database_url,
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_PREFETCH=str(PREFETCH),
        WORKER_LEASE_SECONDS="2",
    ) as environment:
        yield environment


def start(command_id: str) -> dict[str, Any]:
    return {"type": "start_track_recording", "id": command_id, "meeting_id": str(uuid.uuid4())}


@pytest.mark.slow
async def test_only_the_poison_command_is_dead_lettered_after_a_limited_number_of_crashes(
    environment: FaultEnvironment,
) -> None:
    poison = start(POISON)
    await send_neighbours(environment, range(NEIGHBOURS // 2))
    await environment.sender.send(
        poison, is_command=False, starts=None, allowed=frozenset({"failed"})
    )
    await send_neighbours(environment, range(NEIGHBOURS // 2, NEIGHBOURS))

    worker = environment.worker()
    await restart_until_it_has_ended(environment, worker)

    assert worker.kills <= MAX_DEATHS
    await stop_neighbours(environment)
    found = await environment.settled(seconds=40)
    assert (found.violations, found.recordings) == ((), NEIGHBOURS)
    outcome = decode_event(environment.recorder.outcomes[POISON].body).data
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "crashed"
    (letter,) = await dead_letters(environment)
    assert letter.body == msgspec.json.encode(poison)
    assert letter.headers["x-reason-code"] == "crashed"


async def send_neighbours(environment: FaultEnvironment, numbers: range) -> None:
    for number in numbers:
        await environment.sender.send(start(f"start-{number}"), allowed=SUCCEEDED)


async def stop_neighbours(environment: FaultEnvironment) -> None:
    for number in range(NEIGHBOURS):
        await environment.recorder.outcome_of(f"start-{number}", seconds=60)
        stop = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)


async def restart_until_it_has_ended(environment: FaultEnvironment, worker: KillableWorker) -> None:
    """Start the worker again each time it dies; return once the poison has its outcome."""
    ended = environment.recorder.outcomes
    worker.start(POISONED_MODULE)
    while POISON not in ended:
        await eventually(
            lambda: POISON in ended or not worker.running,
            seconds=30,
            description=f"death {worker.kills + 1}, or the end of the poison",
        )
        if not worker.running:
            worker.died()
            assert worker.kills <= MAX_DEATHS, worker.last_words()
            worker.start(POISONED_MODULE)


async def dead_letters(environment: FaultEnvironment) -> list[AbstractIncomingMessage]:
    """All messages in the dead-letter queue."""
    letters: list[AbstractIncomingMessage] = []
    async with (
        asyncio.timeout(10),
        await aio_pika.connect(environment.recorder._url) as connection,
    ):
        channel = await connection.channel()
        name = f"{environment.settings['WORKER_NAME_PREFIX']}.commands.dead"
        queue = await channel.get_queue(name, ensure=False)
        while (letter := await queue.get(no_ack=True, fail=False)) is not None:
            letters.append(letter)
    return letters
