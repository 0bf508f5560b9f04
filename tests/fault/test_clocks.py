"""Clocks that jump, and replicas whose clocks do not agree."""

import itertools
import uuid
from typing import Any, Final

import psycopg
import pytest

from recording_sandbox.model.faults import Fault
from tests.fault.simulation import RETRY_POLICY, Simulation
from tests.store_requests import claim_request
from worker.store.claims import ClaimRequest
from worker.store.database.clock import CLOCK_READ_INTERVAL_SECONDS
from worker.store.leader import LeaderElector
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

HOUR: Final = 3600.0
MONTH: Final = 30 * 24 * HOUR
APART: Final = 30.0
JUMPS = pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])


class WrongClock:
    """A machine's clock, which is wrong by `error` seconds."""

    def __init__(self, world: Simulation, error: float = 0.0) -> None:
        self._world = world
        self.error = error

    def __call__(self) -> float:
        return self._world.now + self.error


def start(command_id: str = "start", meeting: str | None = None) -> dict[str, Any]:
    return {
        "type": "start_track_recording",
        "id": command_id,
        "meeting_id": meeting or str(uuid.UUID(int=1, version=4)),
    }


def outcomes(world: Simulation) -> list[str]:
    published = {
        message.message_id: message.routing_key
        for message in world.published
        if message.exchange == "results"
    }
    return list(published.values())


# One worker whose clock jumps


@JUMPS
async def test_a_clock_jump_during_a_recording_loses_and_duplicates_nothing(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    store, clock = await Store.open(sqlite_url, source="test"), WrongClock(world)
    replica = world.replica(store, clock)
    for number in range(3):
        world.send(start(f"start-{number}"))
    await world.deliver(world.queue[0], replica)
    clock.error = jump
    await world.drain([replica])
    assert outcomes(world) == ["start_track_recording.succeeded"] * 3
    assert len(world.sandbox.request_log.started) == 3
    assert [message.routing_key for message in world.published].count("track.completed") == 3
    await store.close()


@pytest.mark.parametrize("jump", [-MONTH, -HOUR, HOUR, MONTH])
async def test_a_start_that_is_uncertain_at_a_clock_jump_finds_its_recording(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    clock = WrongClock(world)
    store = await Store.open(sqlite_url, source="test", now=clock, ticks=lambda: world.now)
    replica = world.replica(store, clock)
    world.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    world.send(start())
    await world.deliver(world.queue[0], replica)
    clock.error = jump
    await world.drain([replica])
    assert outcomes(world) == ["start_track_recording.succeeded"]
    assert len(world.sandbox.request_log.started) == 1
    await store.close()


@pytest.mark.parametrize("jump", [-HOUR, -0.95, -0.3, HOUR])
async def test_a_clock_jump_while_the_list_lags_starts_no_second_recording(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    clock = WrongClock(world)
    store = await Store.open(sqlite_url, source="test", now=clock, ticks=lambda: world.now)
    replica = world.replica(store, clock)
    world.sandbox.clock.advance(1.01 - world.now % 1.0)  # the API shows its time in whole seconds
    world.sandbox.behaviour.change({"list_lag_seconds": 10.0})
    world.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    world.send(start())
    await world.deliver(world.queue[0], replica)
    clock.error = jump
    world.sandbox.clock.advance(5.0)
    (again,) = world.ready()
    await world.deliver(again, replica)
    await world.drain([replica])
    assert outcomes(world) == ["start_track_recording.succeeded"]
    assert len(world.sandbox.request_log.started) == 1
    await store.close()


async def test_a_worker_that_restarts_with_a_late_clock_starts_no_second_recording(
    world: Simulation, sqlite_url: str
) -> None:
    clock = WrongClock(world)
    world.sandbox.behaviour.change({"list_lag_seconds": 20.0})
    world.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    world.send(start())
    store = await Store.open(sqlite_url, source="test", now=clock, ticks=lambda: world.now)
    await world.deliver(world.queue[0], world.replica(store, clock))
    await store.close()
    clock.error = -100.0
    store = await Store.open(sqlite_url, source="test", now=clock, ticks=lambda: world.now)
    replica = world.replica(store, clock)
    world.sandbox.clock.advance(5.0)
    (again,) = world.ready()
    await world.deliver(again, replica)
    clock.error = 0.0
    await world.drain([replica])
    assert outcomes(world) == ["start_track_recording.succeeded"]
    assert len(world.sandbox.request_log.started) == 1
    await store.close()


@JUMPS
async def test_a_worker_that_restarts_with_another_time_releases_its_leases_at_once(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    store = await Store.open(sqlite_url, source="test")
    world.send(start())
    await world.crash(world.queue[0], world.replica(store), "start_track_recording")
    await store.close()
    store = await Store.open(sqlite_url, source="test")
    await world.drain([world.replica(store, WrongClock(world, jump))])
    assert len(world.sandbox.request_log.started) == 1
    assert outcomes(world) == ["start_track_recording.succeeded"]
    await store.close()


@JUMPS
async def test_a_clock_jump_does_not_shorten_the_wait_after_a_lost_answer(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    clock = WrongClock(world)
    store = await Store.open(sqlite_url, source="test", now=clock, ticks=lambda: world.now)
    await store.claim(claim("me", now=clock()))
    await store.release(ReleaseRequest(command_id="c", uncertain=True, last_error="{}"))
    clock.error = jump
    for seconds, may_call in ((20.0, False), (9.0, False), (2.0, True)):
        world.sandbox.clock.advance(seconds)
        again = await store.claim(claim("me", now=clock()))
        assert again.may_call is may_call
        await store.release(ReleaseRequest(command_id="c", uncertain=True, last_error="{}"))
    await store.close()


@JUMPS
async def test_a_clock_jump_does_not_change_the_leader_s_lease(
    world: Simulation, sqlite_url: str, jump: float
) -> None:
    store, clock = await Store.open(sqlite_url, source="test"), WrongClock(world)
    leader = LeaderElector(
        store, owner="only", lease_seconds=15, now=clock, ticks=lambda: world.now
    )
    await leader.try_acquire()
    clock.error = jump
    assert leader.is_leader()
    world.sandbox.clock.advance(14.9)
    assert leader.is_leader()
    world.sandbox.clock.advance(0.2)
    assert not leader.is_leader()
    await leader.try_acquire()
    assert leader.is_leader(), "its own lease never keeps it out"
    await store.close()


# Replicas that do not agree


async def test_two_replicas_with_clocks_apart_start_each_recording_once(
    world: Simulation, postgresql_url: str
) -> None:
    clocks = [WrongClock(world), WrongClock(world, APART)]
    stores = [await Store.open(postgresql_url, source="test") for _ in clocks]
    replicas = [world.replica(store, clock) for store, clock in zip(stores, clocks, strict=True)]
    for number in range(10):
        world.send(start(f"start-{number}", str(uuid.UUID(int=number % 3 + 1, version=4))))
    for message, replica in zip(world.ready(), itertools.cycle(replicas), strict=False):
        await world.deliver(message, replica)
    await world.drain(replicas)
    assert outcomes(world) == ["start_track_recording.succeeded"] * 10
    assert len(world.sandbox.request_log.started) == 10
    for store in stores:
        await store.close()


@pytest.mark.parametrize("error", [-HOUR, -APART, APART, HOUR])
async def test_replicas_use_the_clock_of_their_postgresql_not_of_their_machine(
    postgresql_url: str, error: float
) -> None:
    right = await Store.open(postgresql_url, source="test")
    wrong = await Store.open(postgresql_url, source="test", now=lambda: right.now() + error)
    assert abs(right.now() - wrong.now()) < 1.0
    with psycopg.connect(postgresql_url) as looking:
        row = looking.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    assert abs(float(row[0]) - wrong.now()) < 1.0
    assert RETRY_POLICY.lease / 2 > CLOCK_READ_INTERVAL_SECONDS, (
        "long before a drift could matter to a lease"
    )
    await right.close()
    await wrong.close()


async def test_leadership_passes_in_time_although_the_clock_of_the_leader_was_an_hour_ahead(
    postgresql_url: str,
) -> None:
    ahead: list[float] = [0.0]
    dead = await Store.open(postgresql_url, source="test", now=lambda: HOUR)
    successor = await Store.open(postgresql_url, source="test")
    await LeaderElector(dead, owner="dead", lease_seconds=15, now=dead.now).try_acquire()
    inherits = LeaderElector(
        successor, owner="successor", lease_seconds=15, now=lambda: successor.now() + ahead[0]
    )
    await inherits.try_acquire()
    assert not inherits.is_leader()
    ahead[0] = 15.5
    await inherits.try_acquire()
    assert inherits.is_leader()
    await dead.close()
    await successor.close()


# A replica that has lost a command to another one


async def test_a_replica_that_lost_a_command_cannot_release_the_claim_of_the_new_owner(
    database_url: str,
) -> None:
    store = await Store.open(database_url, source="test")
    await store.claim(claim("slow", now=0.0))
    await store.claim(claim("quick", now=61.0))
    await store.release(
        ReleaseRequest(command_id="c", uncertain=False, last_error="{}", owner="slow")
    )
    third = await store.claim(claim("third", now=62.0))
    assert third.verdict == "busy"
    other_start = await store.claim(claim("third", now=62.0, command_id="d"))
    assert other_start.verdict == "busy", "the meeting is still taken"
    await store.release(
        ReleaseRequest(command_id="c", uncertain=True, last_error="{}", owner="quick")
    )
    assert (await store.claim(claim("third", now=63.0))).called_at == 0.0
    await store.close()


def claim(owner: str, *, now: float, command_id: str = "c") -> ClaimRequest:
    place = {"app": "default", "slot": "m/track", "meeting_id": "m"}
    return claim_request(command_id, owner=owner, now=now, abandoned_before=-HOUR, **place)


@pytest.mark.parametrize("error", [-HOUR, -APART, APART, HOUR])
async def test_a_lost_start_is_found_even_when_the_clock_differs_from_that_of_the_api(
    world: Simulation, sqlite_url: str, error: float
) -> None:
    store = await Store.open(sqlite_url, source="test")
    replica = world.replica(store, WrongClock(world, error))
    world.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    world.send(start())
    await world.deliver(world.queue[0], replica)
    await world.drain([replica])
    assert len(world.sandbox.request_log.started) == 1
    assert outcomes(world) == ["start_track_recording.succeeded"]
    await store.close()


async def test_a_clock_that_was_a_month_ahead_at_a_lost_start_starts_no_second_recording(
    world: Simulation, sqlite_url: str
) -> None:
    store, clock = await Store.open(sqlite_url, source="test"), WrongClock(world, MONTH)
    replica = world.replica(store, clock)
    world.sandbox.faults.add(Fault(kind="lost_reset", operation="start*", count=1))
    world.send(start())
    await world.deliver(world.queue[0], replica)
    clock.error = 0.0
    await world.drain([replica])
    assert len(world.sandbox.request_log.started) == 1
    assert outcomes(world) == ["start_track_recording.succeeded"]
    await store.close()


async def test_a_command_of_a_replica_that_died_with_a_clock_a_month_ahead_is_executed_in_time(
    world: Simulation, sqlite_url: str
) -> None:
    store = await Store.open(sqlite_url, source="test")
    ahead = WrongClock(world, MONTH)
    world.send(start())
    await world.crash(world.queue[0], world.replica(store, ahead), "start_track_recording")
    began = world.now
    await world.drain([world.replica(store, WrongClock(world))])
    assert world.now - began < HOUR
    assert len(world.sandbox.request_log.started) == 1
    assert outcomes(world) == ["start_track_recording.succeeded"]
    await store.close()
