"""A worker with an archive copies every finished file, and publishes an event for each proved
copy."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from recording_sandbox.model.faults import Fault
from recording_schemas import (
    Archived,
    ArchiveFailed,
    CommandRejected,
    Completed,
    FileArchived,
    FileReady,
    FileUrlRenewed,
    Manifest,
    Status,
    StatusChanged,
)
from recording_schemas.json_schema import documents
from recording_schemas.manifest import MANIFEST_NAME
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment


@asynccontextmanager
async def archiving(
    amqp_url: str, prefix: str, tmp_path: Path, **more: str
) -> AsyncIterator[WorkerEnvironment]:
    (tmp_path / "archive").mkdir()
    settings: dict[str, Any] = {
        "WORKER_ARCHIVE_URL": f"file://{tmp_path}/archive",
        "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES": "on",
        "WORKER_ARCHIVE_RETRY_MAX_SECONDS": "0.2",
        **more,
    }
    async with open_worker_environment(amqp_url, prefix, tmp_path, **settings) as environment:
        yield environment


async def record(environment: WorkerEnvironment, start_id: str = "start-1", **fields: Any) -> str:
    """Record a meeting and stop it; returns the recording's id."""
    await environment.start(start_id, **fields)
    event = await environment.event(StatusChanged, status=Status.RECORDING, start_id=start_id)
    assert event.subject is not None
    await environment.send(type="stop_recording", id=f"stop-{start_id}", start_id=start_id)
    return event.subject


def copy_of(event: FileArchived) -> bytes:
    return Path(event.archive_url.removeprefix("file://")).read_bytes()


async def test_every_file_is_copied_and_the_manifest_lists_the_copies(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with archiving(amqp_url, names_prefix, tmp_path) as environment:
        recording_id = await record(environment, metadata={"case": "7"})
        archived = (await environment.event(Archived, recording_id=recording_id)).data
        assert isinstance(archived, Archived)
        copies = [
            event.data
            for event in environment.messages.events
            if isinstance(event.data, FileArchived)
        ]
        ready = [
            event.data for event in environment.messages.events if isinstance(event.data, FileReady)
        ]
        ready_names = sorted(file.file_name for file in ready)
        assert sorted(copied.file_name for copied in copies) == ready_names
        assert archived.file_count == len(copies) == 3
        for copy in copies:
            assert hashlib.sha256(copy_of(copy)).hexdigest() == copy.sha256
            assert len(copy_of(copy)) == copy.size_bytes
            assert copy.metadata == {"case": "7"}
        path = Path(archived.manifest_url.removeprefix("file://"))
        Draft202012Validator(documents()[MANIFEST_NAME]).validate(json.loads(path.read_bytes()))
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        assert {file.sha256 for file in manifest.files} == {copied.sha256 for copied in copies}
        assert [change.status for change in manifest.timeline][-1] is Status.UPLOADED
        people = manifest.participants or ()
        assert [len(person.stays) for person in people] == [1, 1, 1]
        assert all(person.expected and person.files == person.stays[0].files for person in people)
        assert {name for person in people for name in person.files} == {
            copied.file_name for copied in copies
        }
        # Both events follow the completion.
        order = [
            event.data for event in environment.messages.events if event.subject == recording_id
        ]
        kinds = [type(data) for data in order]
        assert kinds.index(Completed) < kinds.index(Archived) == len(kinds) - 1


async def test_an_expired_url_is_replaced_and_the_file_is_copied(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with archiving(amqp_url, names_prefix, tmp_path) as environment:
        environment.sandbox.faults.add(
            Fault(kind="download_expire", operation="*_audio_*", count=1)
        )
        recording_id = await record(environment)
        await environment.event(Archived, recording_id=recording_id)
        await environment.event(FileUrlRenewed, recording_id=recording_id)


async def test_archive_recording_copies_again_with_new_events(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with archiving(amqp_url, names_prefix, tmp_path) as environment:
        recording_id = await record(environment)
        await environment.event(Archived, recording_id=recording_id)
        count_before = len(environment.messages.events)
        await environment.send(type="archive_recording", id="again", recording_id=recording_id)
        await environment.outcome("again")
        await environment.messages.until(
            lambda events: (
                [event for event in events[count_before:] if isinstance(event.data, Archived)]
                or None
            ),
            within=30.0,
            description="the second manifest",
        )
        copies = [
            event for event in environment.messages.events if isinstance(event.data, FileArchived)
        ]
        assert len(copies) == len({event.id for event in copies}) == 6


async def test_a_file_that_may_not_be_fetched_is_given_up_and_reported(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    private = {"WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES": "off"}
    async with archiving(amqp_url, names_prefix, tmp_path, **private) as environment:
        recording_id = await record(environment)
        failed = (await environment.event(ArchiveFailed, recording_id=recording_id)).data
        assert isinstance(failed, ArchiveFailed)
        assert failed.final
        archived = (await environment.event(Archived, recording_id=recording_id)).data
        assert isinstance(archived, Archived)
        assert archived.file_count == 0
        manifest = json.loads(Path(archived.manifest_url.removeprefix("file://")).read_bytes())
        assert {file["archive_url"] for file in manifest["files"]} == {None}


async def test_without_an_archive_the_command_is_rejected(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(amqp_url, names_prefix, tmp_path) as environment:
        await environment.send(
            type="archive_recording", id="a", recording_id="b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"
        )
        outcome = (await environment.outcome("a")).data
        assert isinstance(outcome, CommandRejected)
        assert outcome.code == "archive_off"
