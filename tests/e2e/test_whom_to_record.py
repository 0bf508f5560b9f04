"""A worker process records the people that a start names by custom ids, and no others."""

import uuid
from pathlib import Path

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.meetings import participant_ids
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import CommandRejected, CommandSucceeded, Completed, FileReady
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

START = "start_track_recording"
LIST = "meeting_participants"


async def record_and_stop(environment: WorkerEnvironment) -> Completed:
    """The completion of the recording that `start-1` began, once it has recorded something."""
    started = (await environment.outcome("start-1")).data
    assert isinstance(started, CommandSucceeded)
    environment.sandbox.clock.advance(10)
    await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
    completed = (await environment.event(Completed)).data
    assert isinstance(completed, Completed)
    return completed


def started_user_ids(environment: WorkerEnvironment) -> list[tuple[str, ...] | None]:
    return [entry.user_ids for entry in environment.sandbox.request_log.started]


async def test_the_people_of_custom_ids_have_files_and_nobody_else_has(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, database_url: str
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=database_url
    ) as environment:
        await environment.start(custom_participant_ids=["participant-1", "participant-3"])
        completed = await record_and_stop(environment)
        assert completed.file_count == 2
        files = [
            event.data for event in environment.messages.events if isinstance(event.data, FileReady)
        ]
        assert {file.custom_participant_id for file in files} == {"participant-1", "participant-3"}
        assert len(environment.requests(LIST)) == 1


async def test_an_unknown_id_is_rejected_with_its_place_and_a_repeat_gets_the_same_outcome(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, database_url: str
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, DATABASE_URL=database_url
    ) as environment:
        await environment.start("custom", custom_participant_ids=["participant-1", "nobody"])
        await environment.start("users", user_ids=["participant-1"])
        for command_id, field in (
            ("custom", "custom_participant_ids[1]"),
            ("users", "user_ids[0]"),
        ):
            data = (await environment.outcome(command_id)).data
            assert isinstance(data, CommandRejected)
            assert (data.code, data.field) == ("unknown_participant", field)
            assert field in data.message
        assert environment.requests(START) == []


async def test_without_the_check_custom_ids_as_user_ids_record_nobody(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url,
        names_prefix,
        tmp_path,
        WORKER_PARTICIPANT_CHECK="off",
        WORKER_FILES_WAIT_SECONDS="1",
    ) as environment:
        await environment.start(user_ids=["participant-1"])
        completed = await record_and_stop(environment)
        assert completed.file_count == 0
        assert environment.requests(LIST) == []


@pytest.mark.parametrize(
    "operation", [LIST, START], ids=["before the call", "before the answer to the call"]
)
async def test_a_worker_that_is_killed_during_a_start_by_custom_ids_starts_one_recording(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path, database_url: str, operation: str
) -> None:
    async with open_worker_environment(
        rabbitmq.amqp_url, names_prefix, tmp_path, speed=1.0, DATABASE_URL=database_url
    ) as environment:
        (ann,) = participant_ids(environment.meeting_id, 1)
        slow = Fault(kind="slow", operation=operation, seconds=0.9, count=1)
        environment.sandbox.faults.add(slow)
        await environment.start(custom_participant_ids=["participant-1"])
        await environment.sandbox.request_log.until(
            lambda log: any(request.operation == operation for request in log.requests)
        )
        await environment.worker.kill()
        if operation == START:  # the call may have been executed, and was for these people
            environment.sandbox.meetings.register(environment.meeting_id, "participant-1")
        await environment.worker.start()
        outcome = (await environment.outcome("start-1")).data
        assert isinstance(outcome, CommandSucceeded)
        assert started_user_ids(environment) == [(ann,)]
        assert (await record_and_stop(environment)).file_count == 1


async def test_a_burst_of_starts_reads_a_meeting_of_250_people_once(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        meeting = str(uuid.uuid4())
        environment.sandbox.meetings.create(meeting, participants=250)
        names = [f"start-{number}" for number in range(1, 21)]
        for number, name in enumerate(names, 1):
            custom_id = f"participant-{number * 12}"
            await environment.start(name, meeting_id=meeting, custom_participant_ids=[custom_id])
        for name in names:
            assert isinstance((await environment.outcome(name)).data, CommandSucceeded)
        assert len(environment.requests(LIST)) == 3
        everybody = participant_ids(meeting, 250)
        assert set(started_user_ids(environment)) == {
            (everybody[number * 12 - 1],) for number in range(1, 21)
        }
