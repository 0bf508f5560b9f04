"""What every subscriber among the examples must do, whatever its language."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aio_pika
import msgspec
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
from tests.examples.file_server import CONTENT, FileServer, SlowFileServer
from tests.fault.tcp_proxy import TcpProxy

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
    """The owners, where a JSON file beside each stored file names its owner."""
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text())["user_id"]
        for path in folder.glob("*/*.json")
    }


async def check_that_each_owner_gets_a_file_once(
    example: SubscriberExample, amqp_url: str, environment: WorkerEnvironment, folder: Path
) -> None:
    """Files arrive complete and with their owners, and repeated events change nothing."""
    async with example.running(amqp_url, folder) as process:
        files = await record_a_meeting(environment)
        owners = {file.file_name: file.user_id for file in files}
        await eventually(lambda: example.owners(folder) == owners)
        await announce_again(environment, files)
        await eventually(lambda: has_ready(amqp_url, QUEUE, 0))
        assert await process.terminate() == 0
    stored = folder / files[0].recording_id
    assert {path.name for path in stored.iterdir() if path.suffix != ".json"} == owners.keys()
    assert all(path.stat().st_size > 0 for path in stored.iterdir())
    assert all(downloads(environment, name) == 1 for name in owners)
    assert await has_ready(amqp_url, QUEUE, 0)


async def check_that_a_kill_before_the_acknowledgement_loses_nothing(
    example: SubscriberExample, amqp_url: str, folder: Path
) -> None:
    """The broker never gets the first acknowledgement. The file is downloaded once all the same."""
    port = urlsplit(amqp_url).port or 0
    async with TcpProxy(port) as link, FileServer(link.black_hole) as files:
        async with example.running(
            amqp_url.replace(f":{port}/", f":{link.port}/"), folder
        ) as first:
            file = await publish_file(amqp_url, download_url=files.url)
            await eventually(lambda: example.owners(folder) == {file.file_name: file.user_id})
            await first.kill()
        link.cut()
        await eventually(lambda: has_ready(amqp_url, QUEUE, 1))
        async with example.running(amqp_url, folder) as second:
            await eventually(lambda: has_ready(amqp_url, QUEUE, 0))
            assert await second.terminate() == 0
    assert await has_ready(amqp_url, QUEUE, 0)
    assert (folder / file.recording_id / file.file_name).read_bytes() == CONTENT
    assert files.requests == 1


async def check_that_poison_is_dead_lettered(
    example: SubscriberExample, amqp_url: str, folder: Path
) -> None:
    """What can never be handled waits for a person, and does not stop what comes after it."""
    async with FileServer() as files, example.running(amqp_url, folder) as process:
        await publish(amqp_url, b"not JSON")
        await publish(amqp_url, b'{"specversion": "1.0", "type": "recording.file_ready.v9"}')
        await publish_file(amqp_url, download_url=files.url, file_name="../../outside.webm")
        await publish_file(amqp_url, download_url=files.missing_url)
        good = await publish_file(amqp_url, download_url=files.url)
        await eventually(lambda: has_ready(amqp_url, DEAD_LETTERS, 4))
        await eventually(lambda: example.owners(folder) == {good.file_name: good.user_id})
        assert await process.terminate() == 0
    assert await has_ready(amqp_url, QUEUE, 0)


async def check_that_two_downloads_of_a_file_leave_it_whole(
    example: SubscriberExample, amqp_url: str, folder: Path
) -> None:
    """An event comes again while its file is downloaded, and the second download is cut."""
    async with SlowFileServer() as files, example.running(amqp_url, folder) as process:
        body, file = file_event(download_url=files.url)
        stored = folder / file.recording_id
        await publish(amqp_url, body)
        await eventually(lambda: any(size > SlowFileServer.SECOND for size in sizes(stored)))
        await publish(amqp_url, body)
        await eventually(lambda: any(0 < size <= SlowFileServer.SECOND for size in sizes(stored)))
        files.finish_first.set()
        await eventually(lambda: example.owners(folder) == {file.file_name: file.user_id})
        assert (stored / file.file_name).read_bytes() == SlowFileServer.CONTENT
        files.cut_second.set()
        assert await process.terminate() == 0
    assert (stored / file.file_name).read_bytes() == SlowFileServer.CONTENT
    assert [path.name for path in stored.iterdir() if path.suffix == ".part"] == []


async def check_that_passing_errors_are_not_dead_lettered(
    example: SubscriberExample, amqp_url: str, folder: Path, *, statuses: Sequence[int]
) -> None:
    """A server that is slow, busy or broken for a moment costs no file."""
    dead = await message_count(amqp_url, DEAD_LETTERS)
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(FileServer(failures=1, status=status))
            for status in statuses
        ]
        async with example.running(amqp_url, folder) as first:
            files = [await publish_file(amqp_url, download_url=each.url) for each in servers]
            await eventually(lambda: all(each.requests for each in servers))
            assert await first.terminate() == 0
        async with example.running(amqp_url, folder) as second:
            await eventually(lambda: all(is_stored(folder, file) for file in files))
            assert await second.terminate() == 0
    assert await has_ready(amqp_url, DEAD_LETTERS, dead)


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
    """How often the file was asked for."""
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
    """Whether so many messages wait in a queue and are not delivered to anybody."""
    return await message_count(amqp_url, queue) == messages


async def message_count(amqp_url: str, queue: str) -> int:
    """How many messages wait in a queue and are not delivered to anybody."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0
