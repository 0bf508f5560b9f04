"""The folder of the archive is a volume, which may not be mounted.

A rename imitates both states: a mount point without its volume is an empty folder of the local
disk.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_archive import events
from tests.contract.store.test_pruning import observation
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.file_source import FileSource, Request, Turn
from tests.integration.archive.wired_archiver import running, wired_archiver
from tests.state_queries import read_state
from worker.archive.folder_mark import MARK
from worker.archive.storage import ArchiveStorage
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.store.admin.archived_files import EntriesFilter, find_entries
from worker.store.store import Store

BODY = b"bytes of a recording"


class Volume:
    """A volume, mounted at `mount_point`."""

    def __init__(self, directory: Path) -> None:
        self.mount_point = directory / "mount"
        self.mount_point.mkdir()
        self._volume = directory / "volume"

    def unmount(self) -> None:
        self.mount_point.rename(self._volume)
        self.mount_point.mkdir()

    def mount(self) -> None:
        """Mount it again. Files below the mount point would be hidden."""
        assert self.local_files() == []
        self.mount_point.rmdir()
        self._volume.rename(self.mount_point)

    def local_files(self) -> list[Path]:
        """The files that were written to the local disk while the volume was not mounted."""
        return list(self.mount_point.rglob("*"))


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


@asynccontextmanager
async def archiving(database_url: str, folder: Path) -> AsyncIterator[Store]:
    """A replica that archives into a folder."""
    store = await Store.open(database_url, source="test", archives=True)
    settings = impatient_archive(folder.as_uri(), concurrency=2)
    archiver = wired_archiver(settings, ArchiveStorage.open(folder.as_uri()), store)
    try:
        async with running(archiver, store):
            yield store
    finally:
        await store.close()


async def end(store: Store, recording_id: str, url: str) -> None:
    """End a recording with one file at this URL."""
    file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
    at = utc(time.time())
    await store.apply(
        [observation(recording_id, Status.UPLOADED, at=at, files=(file,), files_final=True)]
    )


async def archived(store: Store, count: int) -> None:
    async def all_archived() -> bool:
        return len(await events(store, "recording.archived")) == count

    await eventually(all_archived, seconds=20, description=f"{count} archived recordings")


async def waits(database_url: str, recording_id: str) -> str:
    """The error that the waiting file of a recording has."""

    def error() -> str | None:
        entries = read_state(
            database_url, find_entries, EntriesFilter(recording_id=recording_id, limit=1)
        )
        found = entries[0].last_error if entries else None
        return f"{found.code}: {found.message}" if found else None

    await eventually(error, seconds=20, description="a failed attempt")
    return error() or ""


async def in_use(store: Store, folder: Path) -> None:
    """Wait until the folder has its mark and the database knows it. Before, it may be used as a new
    one."""

    async def known() -> bool:
        return (folder / MARK).exists() and await store.archive.is_folder_known(str(folder))

    await eventually(known, seconds=20, description="the folder is in use")


async def test_the_first_use_of_a_folder_writes_its_mark(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "a new folder"
    folder.mkdir()
    async with archiving(sqlite_url, folder) as store:
        await in_use(store, folder)
        assert "is the archive of recording-worker" in (folder / MARK).read_text()


async def test_a_folder_of_a_volume_that_is_missing_at_the_first_start_is_waited_for(
    sqlite_url: str, volume: Volume
) -> None:
    folder = volume.mount_point / "recordings"
    folder.mkdir()
    volume.unmount()
    async with archiving(sqlite_url, folder) as store, FileSource(BODY) as source:
        await end(store, "r1", source.url)
        await store.apply([observation("r2", Status.ERRORED, at=utc(time.time()), files=())])
        for recording in ("r1", "r2"):
            error = await waits(sqlite_url, recording)
            assert error.startswith("folder_missing: ")
            assert f"{folder} does not exist" in error
        assert source.requests == []
        volume.mount()
        await archived(store, 2)
        assert await events(store, "archive_failed") == []
    assert (folder / "r1/a.webm").read_bytes() == BODY


async def test_files_wait_while_their_volume_is_not_mounted(
    sqlite_url: str, volume: Volume
) -> None:
    async with archiving(sqlite_url, volume.mount_point) as store, FileSource(BODY) as source:
        await end(store, "r1", source.url)
        await archived(store, 1)
        volume.unmount()
        await end(store, "r2", source.url)
        error = await waits(sqlite_url, "r2")
        assert error.startswith("folder_not_mounted: ")
        assert f"create the file {volume.mount_point / MARK}" in error
        assert len(source.requests) == 1  # no download whose file could not be stored
        volume.mount()
        await archived(store, 2)
        assert await events(store, "archive_failed") == []
    assert (volume.mount_point / "r2/a.webm").read_bytes() == BODY


async def test_a_manifest_waits_while_its_volume_is_not_mounted(
    sqlite_url: str, volume: Volume
) -> None:
    async with archiving(sqlite_url, volume.mount_point) as store:
        await in_use(store, volume.mount_point)
        volume.unmount()
        await store.apply([observation("r1", Status.ERRORED, at=utc(time.time()), files=())])
        assert (await waits(sqlite_url, "r1")).startswith("folder_not_mounted: ")
        volume.mount()
        await archived(store, 1)


async def test_files_wait_if_the_worker_starts_before_the_volume_is_mounted(
    sqlite_url: str, volume: Volume
) -> None:
    async with archiving(sqlite_url, volume.mount_point) as store:
        await in_use(store, volume.mount_point)
    volume.unmount()
    async with archiving(sqlite_url, volume.mount_point) as store, FileSource(BODY) as source:
        await end(store, "r1", source.url)
        assert (await waits(sqlite_url, "r1")).startswith("folder_not_mounted: ")
        volume.mount()
        await archived(store, 1)


class GatedSource(FileSource):
    """Answers when `may_answer` is set."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.may_answer = asyncio.Event()

    async def _answer(self, request: Request, turn: Turn, writer: asyncio.StreamWriter) -> None:
        await self.may_answer.wait()
        await super()._answer(request, turn, writer)


async def test_a_copy_during_which_the_volume_disappears_is_not_announced(
    sqlite_url: str, volume: Volume
) -> None:
    async with archiving(sqlite_url, volume.mount_point) as store, GatedSource(BODY) as source:
        await in_use(store, volume.mount_point)
        await end(store, "r1", source.url)
        await eventually(lambda: source.requests, seconds=20, description="a download")
        volume.unmount()
        source.may_answer.set()
        assert (await waits(sqlite_url, "r1")).startswith("folder_not_mounted: ")
        assert await events(store, "file_archived") == []


async def test_a_mark_that_an_operator_writes_makes_a_new_folder_usable(
    sqlite_url: str, volume: Volume
) -> None:
    async with archiving(sqlite_url, volume.mount_point) as store, FileSource(BODY) as source:
        await in_use(store, volume.mount_point)
        volume.unmount()
        await end(store, "r1", source.url)
        await waits(sqlite_url, "r1")
        (volume.mount_point / MARK).touch()
        await archived(store, 1)


async def test_a_folder_that_was_used_by_an_earlier_version_gets_its_mark(
    sqlite_url: str, volume: Volume
) -> None:
    (volume.mount_point / "earlier.webm").write_bytes(BODY)
    async with archiving(sqlite_url, volume.mount_point) as store:
        await in_use(store, volume.mount_point)
