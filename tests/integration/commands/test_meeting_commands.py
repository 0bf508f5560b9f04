"""Commands for all recordings of a meeting: an error of one recording does not stop the others."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import Fault
from recording_schemas import PauseRecording, StopRecording
from tests.operation_contexts import operation_context
from worker.commands.operations import execute
from worker.commands.operations.context import OperationContext
from worker.domain.errors import NotYet
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

MEETING = str(uuid.uuid4())
PARALLEL = {"meeting_id": MEETING, "allow_multiple_recordings": True}


class Bench:
    """Recordings of one meeting, and commands for them, with a clock that stands still."""

    def __init__(self, sandbox: Sandbox, api: RealtimeKitClient) -> None:
        self.sandbox = sandbox
        self.api = api

    def attempt(self) -> OperationContext:
        return operation_context(self.api, "c", now=lambda: datetime.now(UTC))

    async def start(self, *, stuck: bool = False) -> str:
        fault = self.sandbox.faults.add(Fault(kind="stuck_invoked")) if stuck else None
        snapshot = await self.api.start_composite_recording(PARALLEL)
        if fault:
            self.sandbox.faults.clear(fault)
        return snapshot.recording_id

    def status(self, recording_id: str) -> str:
        return self.sandbox.recordings.index.get(recording_id).status


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Sandbox(SandboxOptions(speed=0), clock=Clock(speed=0)) as sandbox:
        settings: dict[str, Any] = {"account_id": "acc", "app_id": "app", "token": lambda: "t"}
        api = RealtimeKitClient(
            base_url=sandbox.base_url, timeout=20.0, retry=RequestRetry(attempts=1), **settings
        )
        yield Bench(sandbox, api)
        await api.aclose()


@pytest.mark.parametrize("stuck_at", [0, 1, 2])
async def test_a_recording_that_cannot_be_stopped_yet_does_not_keep_the_others_running(
    bench: Bench, stuck_at: int
) -> None:
    ids = [await bench.start(stuck=number == stuck_at) for number in range(3)]
    bench.sandbox.clock.advance(5)
    with pytest.raises(NotYet, match="not_stoppable"):
        await execute(StopRecording(id="c", meeting_id=MEETING), bench.attempt())
    statuses = [bench.status(recording_id) for recording_id in ids]
    assert statuses.pop(stuck_at) == "INVOKED"
    assert statuses == ["UPLOADING", "UPLOADING"]


async def test_a_pause_of_a_meeting_leaves_out_recordings_that_are_being_uploaded(
    bench: Bench,
) -> None:
    ended, running = await bench.start(), await bench.start()
    bench.sandbox.clock.advance(5)
    await bench.api.control_recording(ended, "stop")
    result = await execute(PauseRecording(id="c", meeting_id=MEETING), bench.attempt())
    assert result.recording_ids == (running,)
    assert (bench.status(ended), bench.status(running)) == ("UPLOADING", "PAUSED")


async def test_all_recordings_of_a_crowded_meeting_are_stopped(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"max_per_page": 10})
    ids = [await bench.start() for _ in range(25)]
    bench.sandbox.clock.advance(5)
    result = await execute(StopRecording(id="c", meeting_id=MEETING), bench.attempt())
    assert set(result.recording_ids) == set(ids)
    assert {bench.status(recording_id) for recording_id in ids} == {"UPLOADING"}
