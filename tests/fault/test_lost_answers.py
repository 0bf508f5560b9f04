"""The API executes a start, and its answer is lost: there is still only one recording."""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import Fault, LostResponseKind
from recording_sandbox.model.recording import StartRequest
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.run_record import SUCCEEDED

EARLIER = 60.0
LOST = get_args(LostResponseKind)
STARTS = {"track": "start_track_recording", "composite": "start_recording"}


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """The usual environment, but the API's clock is behind until `advance(EARLIER)`."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    clock = Clock(start=time.time() - EARLIER)
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1, clock=clock
    ) as environment:
        yield environment


def start(kind: str, command_id: str, meeting: str, **more: Any) -> dict[str, Any]:
    return {"type": STARTS[kind], "id": command_id, "meeting_id": meeting, **more}


def somebody_else_records(environment: FaultEnvironment, meeting: str) -> None:
    """A recording of each kind in the same meeting, as another program would start them."""
    for kind in ("track", "composite"):
        request = StartRequest(kind=kind, app_id="app", meeting_id=meeting, allow_multiple=True)
        environment.foreign.add(environment.sandbox.recordings.start(request).id)


async def record_and_stop(environment: FaultEnvironment, command: dict[str, Any]) -> None:
    """Start a recording, and stop it as soon as the start has ended."""
    command_id = str(command["id"])
    await environment.sender.send(command, allowed=SUCCEEDED)
    await environment.recorder.outcome_of(command_id)
    stop = {"type": "stop_recording", "id": f"{command_id}/stop", "start_id": command_id}
    await environment.sender.send(stop, allowed=SUCCEEDED)


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("kind", STARTS)
async def test_a_start_whose_answer_was_lost_is_adopted_among_external_recordings(
    environment: FaultEnvironment, kind: str, fault: Any
) -> None:
    meeting = str(uuid.uuid4())
    somebody_else_records(environment, meeting)
    environment.sandbox.clock.advance(EARLIER)
    environment.sandbox.faults.add(Fault(kind=fault, operation=STARTS[kind], count=1, seconds=3))
    environment.worker().start()
    more = {"allow_multiple_recordings": True} if kind == "composite" else {}
    await record_and_stop(environment, start(kind, "start", meeting, **more))
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == 3


async def test_a_composite_that_is_called_like_a_track_gets_the_events_of_a_composite(
    environment: FaultEnvironment,
) -> None:
    environment.sandbox.clock.advance(EARLIER)
    environment.sandbox.faults.add(Fault(kind="lost_502", operation="start_recording", count=1))
    environment.worker().start()
    more = {"file_name_prefix": "sales_call_audio", "allow_multiple_recordings": True}
    await record_and_stop(environment, start("composite", "start", str(uuid.uuid4()), **more))
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == 1
    keys = [event.routing_key for event in environment.recorder.received]
    assert [key for key in keys if key.endswith((".ready", ".completed"))] == [
        "composite.video.ready",
        "composite.audio.ready",
        "composite.completed",
    ]


@pytest.mark.parametrize("kind", STARTS)
async def test_a_list_that_lags_by_seconds_causes_no_second_start(
    environment: FaultEnvironment, kind: str
) -> None:
    meeting = str(uuid.uuid4())
    somebody_else_records(environment, meeting)
    environment.sandbox.clock.advance(EARLIER)
    environment.sandbox.behaviour.change({"list_lag_seconds": 2.5})
    environment.sandbox.faults.add(Fault(kind="lost_502", operation=STARTS[kind], count=1))
    environment.worker().start()
    more = {"allow_multiple_recordings": True} if kind == "composite" else {}
    await record_and_stop(environment, start(kind, "start", meeting, **more))
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == 3


async def test_a_start_that_the_api_processes_after_the_time_out_is_not_repeated(
    environment: FaultEnvironment,
) -> None:
    environment.sandbox.clock.advance(EARLIER)
    environment.sandbox.faults.add(Fault(kind="late", operation="start*", count=1, seconds=2.5))
    environment.worker().start()
    await record_and_stop(environment, start("track", "start", str(uuid.uuid4())))
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == 1


async def test_several_starts_of_one_meeting_with_lost_answers_get_one_recording_each(
    environment: FaultEnvironment,
) -> None:
    environment.sandbox.clock.advance(EARLIER)
    meeting = str(uuid.uuid4())
    for fault in LOST:
        environment.sandbox.faults.add(
            Fault(kind=fault, operation=STARTS["track"], count=1, seconds=3)
        )
    environment.worker().start()
    for number in range(len(LOST)):
        await environment.sender.send(start("track", f"start-{number}", meeting), allowed=SUCCEEDED)
    for number in range(len(LOST)):
        await environment.recorder.outcome_of(f"start-{number}", seconds=60)
        stop = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)
    found = await environment.settled()
    assert found.violations == ()
    assert found.recordings == len(LOST)
