"""Runs the subscribers among the examples, and reads their results."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aio_pika
import msgspec
from aio_pika.exceptions import ChannelNotFoundEntity
from msgspec.structs import replace

from recording_sandbox.waiting import eventually
from recording_schemas import (
    EVENT_CONTENT_TYPE,
    Completed,
    FileReady,
    decode_event,
    encode_event,
)
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples.example_process import ROOT, ExampleProcess, running

QUEUE: Final = "my-service.files"
DEAD_LETTERS: Final = "my-service.files.dead"
READY: Final = "waiting for files"
EXAMPLE: Final = ROOT / "schemas/examples/recording.file_ready.v1.json"


class SubscriberExample(msgspec.Struct, frozen=True):
    """How to run a subscriber, and how to read which files it has stored for whom.

    `owners` returns the participant's id of each stored file, by the file's name.
    """

    program: Sequence[str | Path]
    folder: Path
    owners: Callable[[Path], dict[str, str | None]]

    @asynccontextmanager
    async def running(self, amqp_url: str, folder: Path) -> AsyncIterator[ExampleProcess]:
        """The subscriber, when it consumes. It stores files into `folder`."""
        log = folder.parent / f"{folder.name}.log"
        log.write_text("")
        async with running(
            self.program,
            folder=self.folder,
            log=log,
            AMQP_URL=amqp_url,
            RECORDINGS_FOLDER=str(folder),
        ) as process:
            await process.has_logged(READY)
            yield process


def owners_of_files(folder: Path) -> dict[str, str | None]:
    """The owner of each stored file that has a JSON file with its owner."""
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text())["user_id"]
        for path in folder.glob("*/*.json")
    }


def is_stored(folder: Path, file: FileReady) -> bool:
    """Whether a file is in the folder of its recording."""
    return (folder / file.recording_id / file.file_name).exists()


def sizes(folder: Path) -> list[int]:
    """The sizes of the files in a folder, also of those that are not finished."""
    return [path.stat().st_size for path in folder.glob("*")]


async def record_a_meeting(environment: WorkerEnvironment) -> list[FileReady]:
    """Record three people. Returns their files."""
    start = f"start-{uuid.uuid4()}"
    await environment.start(start, meeting_id=str(uuid.uuid4()))
    await environment.outcome(start)
    await environment.send(type="stop_recording", id=f"stop-{start}", start_id=start)
    completed = await environment.event(Completed, start_id=start)
    files = announced(environment, completed.subject)
    assert len(files) == 3
    return files


def announced(environment: WorkerEnvironment, recording_id: str) -> list[FileReady]:
    """The files of a recording, once for each time that they were announced."""
    data = [event.data for event in environment.messages.events if event.subject == recording_id]
    return [file for file in data if isinstance(file, FileReady)]


async def announce_again(environment: WorkerEnvironment, files: list[FileReady]) -> None:
    """Let the worker publish the events of a recording's files again. Returns when that is done."""
    recording_id = files[0].recording_id
    await environment.send(
        type="replay_recording", id=f"replay-{uuid.uuid4()}", recording_id=recording_id
    )
    await eventually(lambda: len(announced(environment, recording_id)) == 2 * len(files))


def downloads(environment: WorkerEnvironment, file_name: str) -> int:
    """How often the file was downloaded."""
    return sum(entry.name == file_name for entry in environment.sandbox.request_log.files_served)


async def publish_file(amqp_url: str, file: FileReady | None = None, **changes: Any) -> FileReady:
    """Publish the event of a file, or of one that no worker has announced, with new ids."""
    body, data = file_event(file, **changes)
    await publish(amqp_url, body)
    return data


def file_event(file: FileReady | None = None, **changes: Any) -> tuple[bytes, FileReady]:
    """The event of a file, or of one that no worker has announced, with new ids."""
    example = decode_event(EXAMPLE.read_bytes())
    assert isinstance(example.data, FileReady)
    expiry = datetime.now(UTC) + timedelta(hours=1)
    new = replace(example.data, recording_id=str(uuid.uuid4()), download_url_expiry=expiry)
    data = replace(file or new, **changes)
    body = encode_event(
        data,
        id=str(uuid.uuid4()),
        source=example.source,
        subject=data.recording_id,
        time=example.time,
        sequence="000000000001",
    )
    return body, data


async def publish(amqp_url: str, body: bytes) -> None:
    """Put a message with the properties of an event into the queue of the subscriber."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        message = aio_pika.Message(
            body,
            content_type=EVENT_CONTENT_TYPE,
            type="recording.file_ready.v1",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await channel.default_exchange.publish(message, QUEUE, mandatory=True)


async def has_ready(amqp_url: str, queue: str, messages: int) -> bool:
    """Whether this many messages wait in a queue and are not delivered."""
    return await message_count(amqp_url, queue) == messages


async def message_count(amqp_url: str, queue: str) -> int:
    """The number of messages that wait in a queue and are not delivered. 0 without the queue."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:  # no subscriber has declared it yet
            return 0
        return declared.declaration_result.message_count or 0
