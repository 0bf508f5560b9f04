"""A storage that does not answer gets few requests, from one attempt at a time."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.file_source import FileSource
from tests.integration.archive.local_server import LocalServer
from tests.integration.archive.object_stores import s3_environ
from tests.integration.archive.wired_archiver import wired_archiver
from worker.aio import cancel_all
from worker.archive.archiver import Archiver
from worker.archive.storage import ArchiveStorage
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.store.store import Store

FILES = 8
UNREACHABLE_URL = "http://127.0.0.1:1/files/a.webm"


class HangingStore(LocalServer):
    """Answers the first request with 503, and no further request."""

    def __init__(self) -> None:
        self.requests = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        if self.requests == 1:
            writer.write(b"HTTP/1.1 503 Away\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            await asyncio.Event().wait()
        writer.close()


class Scene(NamedTuple):
    """A running archiver whose first request was refused by the storage."""

    store: Store
    source: FileSource
    storage: HangingStore
    archiver: Archiver

    async def end(self, number: int, url: str | None = None) -> None:
        """End a recording. The URL of its file is `url`, or that of the source."""
        url = url or self.source.url
        file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
        at = utc(time.time())
        ended = observation(f"r{number}", Status.UPLOADED, at=at, files=(file,), files_final=True)
        await self.store.apply([ended])

    async def is_tried_by_one_attempt(self) -> None:
        """The storage gets no third request, however often the queue is read."""
        await eventually(
            lambda: self.storage.requests == 2, seconds=20, description="the second request"
        )
        for _ in range(FILES):
            self.archiver.wake()
            await self.store.archive.next_due()
        assert self.storage.requests == 2
        assert len(self.source.requests) == 2


@pytest.fixture
async def scene(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    store = await Store.open(sqlite_url, source="test", archives=True)
    async with FileSource(b"media") as source, HangingStore() as storage:
        for name, value in s3_environ(storage.url).items():
            monkeypatch.setenv(name, value)
        url = "s3://meetings/recordings"
        settings = impatient_archive(url, concurrency=4)
        archiver = wired_archiver(settings, ArchiveStorage.open(url, max_retries=0), store)
        scene = Scene(store, source, storage, archiver)
        await scene.end(0)
        running = asyncio.create_task(archiver.run(lambda: False))
        await eventually(lambda: storage.requests == 1, seconds=20, description="the first answer")
        yield scene
        await cancel_all([running])
    await store.close()


async def test_a_storage_that_hangs_is_tried_by_one_attempt_however_often_the_queue_is_looked_at(
    scene: Scene,
) -> None:
    for number in range(1, FILES):
        await scene.end(number)
    await scene.is_tried_by_one_attempt()


async def test_files_whose_sources_fail_do_not_end_the_pauses_of_a_storage_that_is_unavailable(
    scene: Scene,
) -> None:
    await scene.end(1, UNREACHABLE_URL)
    for number in range(2, FILES):
        await scene.end(number)
    await scene.is_tried_by_one_attempt()
    archive = await scene.store.archive.read("r1")
    assert archive is not None
    assert archive.files[0].last_error is not None
