"""The report detects deliberately broken workers, under the right heading."""

import uuid
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment
from tests.fault.killable_worker import BROKEN_MODULE
from tests.fault.reliability_report import ReliabilityReport
from tests.fault.run_record import SUCCEEDED


def start() -> dict[str, Any]:
    return {"type": "start_track_recording", "id": "start", "meeting_id": str(uuid.uuid4())}


async def recorded_and_stopped(environment: FaultEnvironment) -> ReliabilityReport:
    """The report on one recording, from its start to its last event."""
    await environment.sender.send(start(), allowed=SUCCEEDED)
    await environment.recorder.outcome_of("start")
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start"}
    await environment.sender.send(stop, allowed=SUCCEEDED)
    await eventually(
        lambda: any(
            message.routing_key == "track.completed" for message in environment.recorder.received
        ),
        seconds=30,
    )
    return await environment.settled(seconds=1)


async def test_a_worker_that_acknowledges_early_is_reported_to_lose_commands(
    environment: FaultEnvironment,
) -> None:
    environment.sandbox.faults.add(Fault(kind="slow", operation="start*", count=1, seconds=30))
    worker = environment.worker()
    worker.start(
        BROKEN_MODULE, FAULT_BREAKAGE="acknowledges-early", WORKER_API_TIMEOUT_SECONDS="60"
    )
    await environment.sender.send(start(), allowed=SUCCEEDED)
    await environment.sandbox.request_log.until(lambda request_log: request_log.started, within=30)
    worker.kill()
    worker.start()
    await worker.ready()
    found = await environment.settled(seconds=3)
    assert "command start was confirmed and has no outcome" in found.lost


async def test_a_worker_that_starts_twice_is_reported_for_a_surplus_recording(
    environment: FaultEnvironment,
) -> None:
    environment.worker().start(BROKEN_MODULE, FAULT_BREAKAGE="starts-twice")
    found = await recorded_and_stopped(environment)
    assert len(found.doubled) == 1


async def test_a_worker_that_drops_an_event_is_reported_to_lose_events(
    environment: FaultEnvironment,
) -> None:
    environment.worker().start(BROKEN_MODULE, FAULT_BREAKAGE="drops-an-event")
    found = await recorded_and_stopped(environment)
    assert any("and no event says so" in violation for violation in found.lost)
    assert any("has no event of sequence" in violation for violation in found.lost)


@pytest.mark.parametrize(
    ("breakage", "words"),
    [("changes-an-id", "has the ids"), ("changes-the-bytes", "came with other bytes")],
)
async def test_a_worker_that_changes_repeated_events_is_reported(
    environment: FaultEnvironment, breakage: str, words: str
) -> None:
    environment.worker().start(BROKEN_MODULE, FAULT_BREAKAGE=breakage)
    found = await recorded_and_stopped(environment)
    assert any(words in violation for violation in found.unexpected)
    assert found.doubled == ()


async def test_a_worker_that_publishes_in_the_wrong_order_is_reported(
    environment: FaultEnvironment,
) -> None:
    environment.worker().start(BROKEN_MODULE, FAULT_BREAKAGE="sends-the-last-first")
    found = await recorded_and_stopped(environment)
    assert any("came after" in violation for violation in found.out_of_order)
    assert any("completed came before" in violation for violation in found.out_of_order)
