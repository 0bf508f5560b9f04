"""A worker freezes, and resumes after another worker has taken over its work."""

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.recording import Recording, StartRequest
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.run_record import SUCCEEDED

FREEZING_MODULE = ("tests.fault.freezing_worker",)
TAKEOVER_SECONDS: Final = 30.0


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, postgresql_url: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    async with open_fault_environment(
        amqp_url,
        postgresql_url,
        tmp_path,
        prefix=names_prefix,
        seed=1,
        WORKER_LEASE_SECONDS="4",
        WORKER_RECONCILE_SECONDS="2",
    ) as environment:
        yield environment


def start() -> dict[str, Any]:
    return {"type": "start_track_recording", "id": "start", "meeting_id": str(uuid.uuid4())}


def is_frozen(worker: KillableWorker) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def freeze_in_a_start(
    environment: FaultEnvironment, point: str = "claimed"
) -> KillableWorker:
    """A worker that is frozen while it claims the command `start`."""
    worker = environment.worker()
    worker.start(FREEZING_MODULE, FREEZE_AT=point)
    await worker.ready()
    await environment.sender.send(start(), allowed=SUCCEEDED)
    await eventually(lambda: is_frozen(worker), seconds=20, description="the worker is frozen")
    environment.amqp.cut()  # the broker gives its deliveries to others
    return worker


async def executed_by_another(environment: FaultEnvironment) -> KillableWorker:
    worker = environment.worker()
    worker.start()
    await environment.recorder.outcome_of("start", seconds=40)
    return worker


async def stop(environment: FaultEnvironment) -> None:
    command = {"type": "stop_recording", "id": "stop", "start_id": "start"}
    await environment.sender.send(command, allowed=SUCCEEDED)
    await environment.recorder.outcome_of("stop")


def thaw(worker: KillableWorker) -> None:
    os.kill(worker.pid, signal.SIGCONT)


async def test_a_worker_frozen_at_the_commit_of_its_claim_does_not_call_once_another_one_has(
    environment: FaultEnvironment,
) -> None:
    frozen = await freeze_in_a_start(environment)
    await executed_by_another(environment)
    assert len(environment.start_requests()) == 1
    thaw(frozen)
    await frozen.ready()
    await stop(environment)
    found = await environment.settled()
    assert found.violations == ()
    assert len(environment.start_requests()) == 1
    assert found.recordings == 1


# Frozen inside a transaction: it holds locks


async def test_a_command_whose_claim_is_frozen_before_its_commit_is_executed_by_another_worker(
    environment: FaultEnvironment,
) -> None:
    frozen = await freeze_in_a_start(environment, "claim")
    began = time.monotonic()
    await executed_by_another(environment)
    assert time.monotonic() - began < TAKEOVER_SECONDS
    thaw(frozen)
    await frozen.ready()
    await stop(environment)
    found = await environment.settled()
    assert found.violations == ()
    assert len(environment.start_requests()) == 1
    assert found.recordings == 1


async def test_a_leader_that_is_frozen_while_it_renews_its_lease_is_replaced(
    environment: FaultEnvironment, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    frozen, successor = environment.worker(), environment.worker()
    frozen.start(FREEZING_MODULE, FREEZE_AT="lease", FREEZE_FILE=str(now))
    await frozen.ready()
    successor.start()
    await successor.ready()
    now.touch()
    await eventually(lambda: is_frozen(frozen), seconds=20, description="the leader is frozen")
    environment.amqp.cut()
    began = time.monotonic()
    await environment.sender.send(start(), allowed=SUCCEEDED)
    await environment.recorder.outcome_of("start", seconds=TAKEOVER_SECONDS)
    assert time.monotonic() - began < TAKEOVER_SECONDS
    await successor.ready()
    now.unlink()
    thaw(frozen)
    await frozen.ready()
    await stop(environment)
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == 1


# Frozen or killed between the calls of a stop by meeting


def external_recording(environment: FaultEnvironment, meeting: str) -> Recording:
    request = StartRequest(kind="composite", app_id="app", meeting_id=meeting)
    recording = environment.sandbox.recordings.start(request)
    environment.foreign.add(recording.id)
    return recording


@pytest.mark.parametrize("is_killed", [False, True], ids=["frozen", "killed"])
async def test_a_stop_whose_worker_halts_between_its_calls_has_one_outcome_with_all_recordings(
    environment: FaultEnvironment, is_killed: bool
) -> None:
    halted = environment.worker()
    halted.start()
    command = start()
    await environment.sender.send(command, allowed=SUCCEEDED)
    await environment.recorder.outcome_of("start")
    external = external_recording(environment, command["meeting_id"])
    own, _ = recordings = environment.sandbox.recordings.index.all()
    await eventually(lambda: {recording.status for recording in recordings} == {"RECORDING"})
    late = Fault(kind="late", operation="change_recording", recording_id=own.id, seconds=3600)
    environment.sandbox.faults.add(late)
    stop = {"type": "stop_recording", "id": "stop", "meeting_id": command["meeting_id"]}
    await environment.sender.send(stop, allowed=SUCCEEDED)
    await eventually(lambda: external.status != "RECORDING")
    halted.kill() if is_killed else halted.freeze()
    environment.sandbox.faults.clear()
    environment.amqp.cut()
    await eventually(lambda: external.status == "UPLOADED")
    successor = environment.worker()
    successor.start()
    outcome = await environment.recorder.outcome_of("stop", seconds=40)
    named = msgspec.json.decode(outcome.body)["data"]["recording_ids"]
    assert sorted(named) == sorted(recording.id for recording in recordings)
    if not is_killed:
        thaw(halted)
        await halted.ready()
    found = await environment.settled()
    assert found.violations == ()
