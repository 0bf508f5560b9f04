"""A replica freezes while it copies a file, and resumes after another replica announced the file.

The source gives each of them different bytes. In the end the stored object must match the last
event.
"""

import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_archive import events
from tests.contract.store.test_pruning import observation
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.file_source import FileSource, Request, Turn
from tests.integration.archive.held_requests import HoldingRelay
from tests.integration.archive.object_stores import StoreServer
from tests.integration.archive.wired_archiver import running, wired_archiver
from worker.archive.storage import ArchiveStorage
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.store.store import Store

MIB: Final = 1024 * 1024
KEY: Final = "r1/a.webm"
SIZES: Final = (20_000, 12 * MIB)
"""One request, and an upload in parts."""

SOON: Final = 30.0

FROZEN: Final = """
import asyncio, sys
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.wired_archiver import wired_archiver
from worker.archive.storage import ArchiveStorage
from worker.store.store import Store

async def main(database_url, archive_url):
    store = await Store.open(database_url, source="test", archives=True)
    settings = impatient_archive(archive_url, concurrency=1)
    archiver = wired_archiver(settings, ArchiveStorage.open(archive_url), store, owner="frozen")
    await archiver.run(lambda: False)

asyncio.run(main(*sys.argv[1:]))
"""


class TwoSources(FileSource):
    """Returns other bytes at each request. The end of the first answer waits for `may_end`."""

    def __init__(self, size: int, *, is_gated: bool) -> None:
        self.bodies = [random.Random(n).randbytes(size) for n in range(4)]
        super().__init__(self.bodies[0], *(Turn(body=body) for body in self.bodies))
        self.nearly_sent = asyncio.Event()
        self.may_end = asyncio.Event()
        self._is_gated = is_gated

    async def _send(self, payload: bytes, turn: Turn, writer: asyncio.StreamWriter) -> None:
        if self._is_gated and turn.body == self.bodies[0]:
            writer.write(payload[:-10])
            await writer.drain()
            self.nearly_sent.set()
            await self.may_end.wait()
            payload = payload[-10:]
        await super()._send(payload, turn, writer)

    async def _answer(self, request: Request, turn: Turn, writer: asyncio.StreamWriter) -> None:
        await super()._answer(request, Turn(body=turn.body, etag=None), writer)


@asynccontextmanager
async def archiving(store: Store, archive_url: str, owner: str) -> AsyncIterator[ArchiveStorage]:
    """A replica that archives into this storage."""
    storage = ArchiveStorage.open(archive_url, request_timeout_seconds=60)
    settings = impatient_archive(archive_url, concurrency=1)
    archiver = wired_archiver(settings, storage, store, owner=owner)
    async with running(archiver, store):
        yield storage


async def end(store: Store, url: str) -> None:
    file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
    at = utc(time.time())
    await store.apply([observation("r1", Status.UPLOADED, at=at, files=(file,), files_final=True)])


async def announced(store: Store, count: int) -> list[str]:
    """The checksums in the events, when there are `count` events."""

    async def all_announced() -> list[dict[str, Any]] | None:
        found = await events(store, "file_archived")
        return found if len(found) >= count else None

    await eventually(all_announced, seconds=SOON, description=f"{count} announced copies")
    return [event["data"]["sha256"] for event in await events(store, "file_archived")]


async def checksum(storage: ArchiveStorage) -> str:
    """The SHA-256 of the stored object."""
    digest = hashlib.sha256()
    async for block in storage.read(KEY):
        digest.update(block)
    return digest.hexdigest()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
async def store(postgresql_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(postgresql_url, source="test", archives=True)
    yield opened
    await opened.close()


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The replica that will be frozen."""
    frozen = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FROZEN,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield frozen
    finally:
        frozen.send_signal(signal.SIGCONT)
        frozen.kill()
        await frozen.wait()


async def line_with(output: asyncio.StreamReader | None, word: str) -> None:
    assert output is not None
    while word not in (line := (await output.readline()).decode()):
        assert line, f"the process ended without {word}"


@pytest.mark.parametrize("store_server", ["folder", "rclone", "azurite"], indirect=True)
@pytest.mark.parametrize("size", SIZES)
async def test_a_replica_that_was_frozen_during_a_download_replaces_no_announced_copy(
    store: Store, postgresql_url: str, archive_url: str, size: int
) -> None:
    async with (
        TwoSources(size, is_gated=True) as source,
        process(postgresql_url, archive_url) as frozen,
    ):
        await end(store, source.url)
        await asyncio.wait_for(source.nearly_sent.wait(), SOON)
        os.kill(frozen.pid, signal.SIGSTOP)
        await store.archive.free_owned("frozen")
        async with archiving(store, archive_url, "me") as storage:
            await announced(store, 1)
            source.may_end.set()
            os.kill(frozen.pid, signal.SIGCONT)
            await asyncio.wait_for(line_with(frozen.stdout, "file_copy_dropped"), SOON)
            assert await checksum(storage) == sha256(source.bodies[1])
            assert await announced(store, 1) == [sha256(source.bodies[1])]
            if size > MIB:  # rclone cannot list the uploads of a bucket that never had any
                after = datetime.now(UTC) + timedelta(hours=1)
                assert await storage.abort_abandoned(started_before=after) == 0


def completes(first_line: str) -> bool:
    """Whether a request completes an object: on Azure, on S3 in parts, or in one request."""
    method, target, _ = first_line.split()
    path, _, query = target.partition("?")
    if not path.endswith(KEY):
        return False
    if "comp=blocklist" in query:
        return True
    if method == "POST":
        return "uploadId=" in query
    return method == "PUT" and "partNumber=" not in query and "comp=block" not in query


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch, store_server: StoreServer) -> Callable[[str], None]:
    """Directs storages that are opened from now on to a relay, or to the server again."""

    def lead(url: str) -> None:
        for name, value in store_server.environ.items():
            if "ENDPOINT" in name:
                monkeypatch.setenv(name, value.replace(store_server.url, url))

    return lead


@pytest.mark.parametrize("store_server", ["rclone", "azurite"], indirect=True)
@pytest.mark.parametrize("size", SIZES)
async def test_a_copy_that_a_frozen_replica_completes_too_late_is_copied_and_announced_again(
    store: Store,
    archive_url: str,
    store_server: StoreServer,
    through: Callable[[str], None],
    size: int,
) -> None:
    async with (
        TwoSources(size, is_gated=False) as source,
        HoldingRelay(store_server.port, completes) as relay,
    ):
        through(relay.url)
        async with archiving(store, archive_url, "frozen"):
            await end(store, source.url)
            await asyncio.wait_for(relay.holds.wait(), SOON)
            await store.archive.free_owned("frozen")
            through(store_server.url)
            async with archiving(store, archive_url, "me") as storage:
                await announced(store, 1)
                relay.may_pass.set()
                checksums = await announced(store, 2)
                assert checksums[0] == sha256(source.bodies[1])
                assert await checksum(storage) == checksums[-1] != checksums[0]
