"""Replicas on one PostgreSQL race for the same meetings, and one of them dies."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.meetings import participant_ids
from tests.fault.campaign_commands import SUCCEEDED_OR_REJECTED
from tests.fault.event_stream_check import EventStreamCheck
from tests.fault.fault_environment import open_fault_environment
from tests.fault.run_record import SUCCEEDED
from tests.fault.simulation import RETRY_POLICY, SimulatedReplica, Simulation, open_simulation
from worker.store.leader import LeaderElector
from worker.store.store import Store

MEETINGS = tuple(str(uuid.UUID(int=n, version=4)) for n in range(1, 5))
ROUNDS = 3
SLOW_SECONDS = 0.1


@asynccontextmanager
async def replicas_on(
    postgresql_url: str, count: int
) -> AsyncIterator[tuple[Simulation, list[SimulatedReplica]]]:
    async with open_simulation() as world:
        stores = [await Store.open(postgresql_url, source="test") for _ in range(count)]
        yield world, [world.replica(store) for store in stores]
        for store in stores:
            await store.close()


def start(command_id: str, meeting: str) -> dict[str, Any]:
    """A start of the meeting's first participant, in every other round by a custom id."""
    by_custom_id = {"custom_participant_ids": ["participant-1"]}
    by_user_id = {"user_ids": participant_ids(meeting)[:1]}
    return {
        **(by_custom_id if int(command_id[-1]) % 2 else by_user_id),
        "type": "start_track_recording",
        "id": command_id,
        "meeting_id": meeting,
        "layers": {"default": {"media_kind": "audio", "file_name_prefix": command_id}},
    }


def the_race() -> Iterator[dict[str, Any]]:
    """Starts, stops and pauses of the same meetings, in rounds."""
    for number, meeting in itertools.product(range(ROUNDS), MEETINGS):
        name = f"{meeting[-1]}-{number}"
        yield start(f"start-{name}", meeting)
        if number % 3 == 0:  # it may be executed first, and then cancels the start
            yield {"type": "stop_recording", "id": f"stop-a-{name}", "start_id": f"start-{name}"}
        yield {"type": "stop_recording", "id": f"stop-b-{name}", "meeting_id": meeting}
        yield {"type": "pause_recording", "id": f"pause-{name}", "meeting_id": meeting}


async def deliver_all_at_once(world: Simulation, replicas: list[SimulatedReplica]) -> None:
    pairs = zip(world.ready(), itertools.cycle(replicas), strict=False)
    await asyncio.gather(*(world.deliver(message, to) for message, to in pairs))


@pytest.mark.parametrize("count", [2, 3])
async def test_racing_replicas_start_each_recording_once_and_publish_each_fact_once(
    postgresql_url: str, count: int
) -> None:
    async with replicas_on(postgresql_url, count) as (world, replicas):
        commands = {command["id"]: command for command in the_race()}
        for command in (*commands.values(), *reversed(commands.values())):
            world.send(command)  # each of them twice, to replicas that begin at different ends
        # An answer that takes a while: two starts at a time would meet at the API.
        world.sandbox.faults.add(Fault(kind="slow", operation="start*", seconds=SLOW_SECONDS))
        for _ in range(3):
            await deliver_all_at_once(world, replicas)
            await asyncio.gather(*(world.sweep_and_read(replica) for replica in replicas))
            world.sandbox.clock.advance(6.0)
        await world.drain(replicas)
        check(world, commands)
        asked = [
            request
            for request in world.sandbox.request_log.requests
            if request.operation.startswith("start")
        ]
        assert len(asked) >= len(certainly_executed(commands))
        assert [request for request in asked if request.in_flight] == [], (
            "one start of a meeting at a time"
        )


async def test_a_replica_that_dies_in_a_race_is_replaced_within_one_lease(
    postgresql_url: str,
) -> None:
    async with replicas_on(postgresql_url, 3) as (world, replicas):
        commands = {command["id"]: command for command in the_race()}
        for command in commands.values():
            world.send(command)
        crashed = world.ready()[0]
        await world.crash(crashed, replicas.pop(0), "start_track_recording")
        for _ in range(3):
            await deliver_all_at_once(world, replicas)
            world.sandbox.clock.advance(6.0)
        assert crashed in world.queue, "whoever died may still be calling"
        world.sandbox.clock.advance(RETRY_POLICY.lease)
        await world.deliver(crashed, replicas[0])
        assert crashed not in world.queue
        await world.drain(replicas)
        check(world, commands)


def certainly_executed(commands: dict[str, dict[str, Any]]) -> set[str]:
    """The ids of the starts that no stop names."""
    named = {command.get("start_id") for command in commands.values()}
    return {name for name in commands if name.startswith("start-") and name not in named}


def check(world: Simulation, commands: dict[str, dict[str, Any]]) -> None:
    recordings = world.sandbox.recordings.index.all()
    by_start = {str(recording.request.prefix): [recording.id] for recording in recordings}
    assert certainly_executed(commands) <= by_start.keys() <= commands.keys()
    assert len(by_start) == len(recordings), "each start has one recording"
    for recording in recordings:
        assert recording.request.user_ids == participant_ids(recording.request.meeting_id)[:1]
    checked = EventStreamCheck()
    checked.add(world.published)
    checked.check_outcomes(commands, by_start)
    checked.check_ends(recordings)


async def test_one_replica_leads_and_another_takes_over_after_its_lease(
    postgresql_url: str,
) -> None:
    async with replicas_on(postgresql_url, 3) as (world, replicas):
        electors = [
            LeaderElector(
                replica.store,
                owner=str(number),
                lease_seconds=15,
                now=replica.now,
                ticks=replica.now,
            )
            for number, replica in enumerate(replicas)
        ]
        await asyncio.gather(*(elector.try_acquire() for elector in electors))
        (leader,) = (elector for elector in electors if elector.is_leader())
        others = [elector for elector in electors if elector is not leader]
        world.sandbox.clock.advance(14.9)
        await asyncio.gather(*(elector.try_acquire() for elector in others))
        assert not any(elector.is_leader() for elector in others)
        world.sandbox.clock.advance(0.2)
        assert not leader.is_leader()
        await asyncio.gather(*(elector.try_acquire() for elector in others))
        assert [elector.is_leader() for elector in others].count(True) == 1


@pytest.mark.slow
async def test_racing_worker_processes_survive_the_kill_of_their_leader(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> None:
    async with open_fault_environment(
        amqp_url, postgresql_url, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        first = environment.worker()
        first.start()
        await first.ready()  # alone, so it leads
        for worker in (environment.worker(), environment.worker()):
            worker.start()
            await worker.ready()
        for n, meeting in itertools.product(range(4), MEETINGS):
            await environment.sender.send(
                start(f"s-{meeting[-1]}-{n}", meeting), allowed=SUCCEEDED_OR_REJECTED
            )
            stop = {"type": "stop_recording", "meeting_id": meeting}
            await environment.sender.send({**stop, "id": f"stop-{meeting[-1]}-{n}"})
            if n == 1:
                first.kill()
        for n, meeting in itertools.product(range(4), MEETINGS):
            await environment.recorder.outcome_of(f"s-{meeting[-1]}-{n}", seconds=60)
        for meeting in MEETINGS:
            last = {"type": "stop_recording", "id": f"last-{meeting}", "meeting_id": meeting}
            await environment.sender.send(last, allowed=SUCCEEDED)
        found = await environment.settled(seconds=60)
        assert found.violations == ()
        assert found.recordings + environment.recorder.cancelled == 4 * len(MEETINGS)
