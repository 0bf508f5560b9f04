"""Files that the API lists late, as a subscriber of a worker process receives them."""

from pathlib import Path

import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import CloudEvent, Completed, FileReady, Status, StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment


async def record(environment: WorkerEnvironment, fault: Fault) -> str:
    """Record a meeting and stop; returns the recording's id."""
    environment.sandbox.faults.add(fault)
    await environment.start()
    started = await environment.event(StatusChanged, status=Status.RECORDING)
    await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
    assert started.subject is not None
    return started.subject


def of(events: list[CloudEvent], recording_id: str) -> list[CloudEvent]:
    about = [event for event in events if event.subject == recording_id]
    return [event for event in about if isinstance(event.data, FileReady | Completed)]


@pytest.mark.parametrize(
    "fault", [Fault(kind="late_files", seconds=5), Fault(kind="late_urls", seconds=5)]
)
async def test_late_files_all_precede_the_completion(
    amqp_url: str, names_prefix: str, tmp_path: Path, fault: Fault
) -> None:
    async with open_worker_environment(amqp_url, names_prefix, tmp_path) as environment:
        recording_id = await record(environment, fault)
        completed = await environment.event(Completed, recording_id=recording_id)

        events = of(environment.messages.events, recording_id)
        names = [event.data.file_name for event in events if isinstance(event.data, FileReady)]
        assert isinstance(completed.data, Completed)
        assert (completed.data.file_count, completed.data.files) == (3, tuple(names))
        assert events[-1] == completed


async def test_a_file_after_the_completion_has_its_event_and_a_new_completion(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(
        amqp_url,
        names_prefix,
        tmp_path,
        WORKER_FILES_SETTLE_SECONDS="0.5",
        WORKER_FILES_LATE_SECONDS="10",
    ) as environment:
        recording_id = await record(environment, Fault(kind="late_files", seconds=20))
        first = await environment.event(Completed, recording_id=recording_id, file_count=1)
        await environment.worker.kill()
        await environment.worker.start()
        last = await environment.event(Completed, recording_id=recording_id, file_count=3)

        numbers = [event.sequence for event in of(environment.messages.events, recording_id)]
        assert numbers == sorted(numbers, key=str)
        assert first.id != last.id
